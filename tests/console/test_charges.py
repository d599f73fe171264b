"""The charges page: ledger lines with their invoices, and totals (R20-R22)."""

import csv
import io
import re

import httpx
import pytest
from support.console_server import ConsoleServer
from support.html_forms import sign_in
from support.service_env import unique_name
from support.subscription_driver import SubscriptionDriver

TERMS = [{"id": "service", "version": "2026-01"}, {"id": "privacy", "version": "2026-01"}]


@pytest.fixture(scope="module")
async def billed(console: ConsoleServer) -> SubscriptionDriver:
    """Create the example of R21, invoiced, then April and an adjustment that are not invoiced yet."""
    service_env = console.service_env
    subscription = await service_env.paid("2026-03-01 09:00", term="MONTHLY", plan="lite")
    await subscription.send("upgrade", at="2026-03-15 09:00", plan="basic", agreed_terms=TERMS)
    await subscription.advance_to("2026-04-01 00:00")
    await service_env.temporal.execute_workflow(
        "InvoicesWorkflow", {"month": "2026-03"}, id=unique_name("close"), task_queue=service_env.task_queue
    )
    await subscription.advance_to("2026-05-01 00:00")
    await service_env.client.adjust(
        {
            "subscription_id": subscription.id,
            "id": "T-4711",
            "key": f"{subscription.id}/SERVICE_FEE/2026-03-15",
            "amount": -9_483,
            "reason": "SERVICE_OUTAGE",
            "reference": "-4711",
        }
    )
    return subscription


async def test_charges_show_invoice_and_uninvoiced_total(
    console: ConsoleServer, billed: SubscriptionDriver
) -> None:
    [invoice] = await console.service_env.client.invoices(customer_id=billed.request["customer_id"])
    async with console.browser() as browser:
        await sign_in(browser, billed.request["customer_id"])
        page = await browser.get(f"/subscriptions/{billed.id}/billing")
        assert rows(page, "Charges") == [
            f"Service fee Mar 1, 2026 - Mar 14, 2026 Lite 10 ₩16,258 {invoice.number}",
            f"Service fee Mar 15, 2026 - Mar 31, 2026 Basic 10 ₩39,483 {invoice.number}",
            "Service fee Apr 1, 2026 - Apr 30, 2026 Basic 10 ₩72,000 not yet",
            "Adjustment Service fee, Mar 15, 2026: service outage -4711 -₩9,483 not yet",
        ]
        # 16,258 + 39,483 + 72,000 - 9,483; and the last two, which are not invoiced.
        assert "Total ₩118,258, before VAT." in page.text
        assert "₩62,517 not yet invoiced." in page.text
        # 55,741 and 10% of it.
        issued = f"{invoice.issued_on:%b} {invoice.issued_on.day}, {invoice.issued_on:%Y}"
        assert rows(page, "Invoices") == [f"{invoice.number} March 2026 {issued} ₩61,315"]


async def test_charges_csv_has_numbers_and_no_formula(
    console: ConsoleServer, billed: SubscriptionDriver
) -> None:
    [invoice] = await console.service_env.client.invoices(customer_id=billed.request["customer_id"])
    async with console.browser("ko") as browser:
        await sign_in(browser, billed.request["customer_id"])
        answer = await browser.get(f"/subscriptions/{billed.id}/charges.csv")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    header, *lines = csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
    assert header[:3] == ["항목", "시작일", "종료일"]
    assert [line[1:7] for line in lines[:3]] == [
        ["2026-03-01", "2026-03-14", "Lite", "10", "16258", invoice.number],
        ["2026-03-15", "2026-03-31", "Basic", "10", "39483", invoice.number],
        ["2026-04-01", "2026-04-30", "Basic", "10", "72000", ""],
    ]
    # An operator typed the reference, which a spreadsheet would calculate. The amount stays a number.
    assert lines[3][5:] == ["-9483", "", "서비스 이용요금: 서비스 장애", "'-4711"]


async def test_charges_page_without_charges_states_it(console: ConsoleServer) -> None:
    subscription = await console.service_env.requested()
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/billing")
    assert "Nothing has been charged." in page.text
    assert "Month of use" not in page.text


def rows(page: httpx.Response, caption: str) -> list[str]:
    """Return the visible text of the rows of the table with this caption."""
    [table] = re.findall(
        rf"<table[^>]*>\s*<caption[^>]*>{caption}</caption>.*?<tbody>(.*?)</tbody>", page.text, re.DOTALL
    )
    return [
        " ".join(re.sub(r"<[^>]+>", " ", row).split()).replace("\N{EN DASH}", "-")
        for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    ]
