"""The list of invoices, the invoice page and their downloads."""

import csv
import io
import re
from datetime import timedelta

import pytest
from support.console_server import ConsoleServer
from support.html_forms import sign_in, submit
from support.service_env import unique_name
from support.subscription_driver import SubscriptionDriver

from adapters.html_to_pdf import PdfError
from entrypoints.console.views import invoices as invoice_views
from subscription.business_calendar import add_months, days_in_month, first_of_next_month, start_of


@pytest.fixture(scope="module")
async def billed(console: ConsoleServer) -> SubscriptionDriver:
    """Create three invoices: 10 members at 7,200 for March, April and May."""
    service_env = console.service_env
    subscription = await service_env.paid("2026-03-01 09:00", term="MONTHLY")
    for month in ("03", "04", "05"):
        await subscription.advance_to(f"2026-0{int(month) + 1}-01 00:00")
        await service_env.temporal.execute_workflow(
            "InvoicesWorkflow",
            {"month": f"2026-{month}"},
            id=unique_name("close"),
            task_queue=service_env.task_queue,
        )
    return subscription


async def test_invoices_are_listed_newest_first_in_pages(
    console: ConsoleServer, billed: SubscriptionDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invoice_views, "_A_PAGE", 2)
    issued = await console.service_env.client.invoices(customer_id=billed.request["customer_id"])
    async with console.browser() as browser:
        await sign_in(browser, billed.request["customer_id"])
        first = (await browser.get("/invoices")).text
        assert _numbers(first) == [issued[2].number, issued[1].number]
        # 72,000, a tenth of it, and their sum.
        assert "May 2026" in first
        assert _cells(first)[2:5] == ["₩72,000", "₩7,200", "₩79,200"]
        [after] = re.findall(r'href="(\?before=[^"]+)"', first)
        last = (await browser.get(f"/invoices{after}")).text
        assert _numbers(last) == [issued[0].number]
        assert 'href="?before=' not in last
        assert 'aria-current="page">Invoices' in last


async def test_invoices_csv_has_all_pages(
    console: ConsoleServer, billed: SubscriptionDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("starter.invoices._BATCH", 2)
    customer = billed.request["customer_id"]
    issued = await console.service_env.client.invoices(customer_id=customer)
    async with console.browser() as browser:
        await sign_in(browser, customer)
        answer = await browser.get("/invoices.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="invoices.csv"'
    assert "\r\n" in answer.text
    header, *lines = csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
    assert header[0] == "Invoice number"
    assert lines == [
        [
            each.number,
            "Invoice",
            customer,
            f"{each.month:%Y-%m}",
            f"{each.issued_on}",
            "72000",
            "7200",
            "79200",
        ]
        for each in reversed(issued)
    ]


async def test_invoice_page_uses_the_readers_language(
    console: ConsoleServer, billed: SubscriptionDriver
) -> None:
    [invoice, *_] = await console.service_env.client.invoices(customer_id=billed.request["customer_id"])
    for language, heading in (("en", "Invoice"), ("ko", "청구서")):
        async with console.browser(language) as browser:
            await sign_in(browser, billed.request["customer_id"])
            answer = await browser.get(f"/invoices/{invoice.number}")
        assert answer.status_code == 200
        assert f"<h1>{heading}</h1>" in answer.text
        assert 'href="/invoices"' in answer.text
        for amount in ("72,000", "7,200", "79,200"):
            assert amount in answer.text
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert policy.endswith("sandbox allow-downloads")
        assert "script" not in policy
        assert answer.headers["cache-control"] == "no-store"


async def test_pdf_is_offered_where_it_can_be_rendered(
    console: ConsoleServer, billed: SubscriptionDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[str] = []

    async def html_to_pdf(html: str) -> bytes:
        rendered.append(html)
        if len(rendered) > 1:
            raise PdfError("too long")
        return b"%PDF-1.7"

    monkeypatch.setattr(invoice_views, "html_to_pdf", html_to_pdf)
    customer = billed.request["customer_id"]
    [invoice, *_] = await console.service_env.client.invoices(customer_id=customer)
    address = f"/invoices/{invoice.number}.pdf"
    async with console.browser("ko") as browser:
        await sign_in(browser, customer)
        monkeypatch.setattr(invoice_views, "can_render_pdf", lambda: False)
        for page in ("/invoices", f"/invoices/{invoice.number}"):
            assert address not in (await browser.get(page)).text
        assert (await browser.get(address)).url.path == f"/invoices/{invoice.number}"

        monkeypatch.setattr(invoice_views, "can_render_pdf", lambda: True)
        for page in ("/invoices", f"/invoices/{invoice.number}"):
            assert f'href="{address}"' in (await browser.get(page)).text
        answer = await browser.get(address)
        assert answer.content == b"%PDF-1.7"
        assert answer.headers["content-type"] == "application/pdf"
        assert invoice.number in answer.headers["content-disposition"]
        assert "79,200원" in rendered[0]
        assert "<nav" not in rendered[0]
        assert (await browser.get(address)).status_code == 503


async def test_test_clock_issues_the_invoices_of_passed_months(console: ConsoleServer) -> None:
    """Invoices are issued on the 3rd of the next month: after 60 days, that of the first month at least."""
    subscription = await console.annual()
    customer, first_day = subscription.request["customer_id"], await subscription.today()
    async with console.browser() as browser:
        await sign_in(browser, customer)
        page = await browser.get(f"/subscriptions/{subscription.id}")
        said = ""
        for _ in range(2):
            page = await submit(browser, page, "/clock", by="month")
            said += page.text
        listed = (await browser.get("/invoices")).text
    end = await subscription.clock.now()
    invoices = await console.service_env.client.invoices(customer_id=customer)
    assert _numbers(listed) == [invoice.number for invoice in reversed(invoices)]
    first, *others = invoices
    second_run = start_of(add_months(first_day, 2).replace(day=3)) + timedelta(hours=6)
    assert len(others) == (end >= second_run)
    next_month = first_of_next_month(first_day)
    assert (first.month, first.issued_on) == (first_day.replace(day=1), next_month.replace(day=3))
    # 10 members at the annual price of 6,000, from the first day to the end of its month.
    days, whole = (next_month - first_day).days, days_in_month(first_day.year, first_day.month)
    assert first.supply_amount == 60_000 * days // whole
    assert [invoice.supply_amount for invoice in others] in ([], [60_000])
    assert "issued." in said


async def test_unknown_invoice_is_not_found(console: ConsoleServer) -> None:
    async with console.browser() as browser:
        await sign_in(browser, unique_name("customer"))
        for number in ("2026-999999", "x", "%00", "가"):
            assert (await browser.get(f"/invoices/{number}")).status_code == 404
        page = await browser.get("/invoices")
        assert "No invoices yet" in page.text
        assert "/invoices.csv" not in page.text


def _numbers(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/invoices/([0-9-]+)">', page)


def _cells(page: str) -> list[str]:
    """Return the texts of the first row's cells."""
    return [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", page)]
