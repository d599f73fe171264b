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
        # The newest charge is first; an adjustment takes effect when it is made.
        charges = rows(page, "Charges")
        assert [row for row in charges if "Adjustment" not in row] == [
            "Service fee Apr 1, 2026 - Apr 30, 2026 Basic 10 ₩72,000 not yet",
            f"Service fee Mar 15, 2026 - Mar 31, 2026 Basic 10 ₩39,483 {invoice.number}",
            f"Service fee Mar 1, 2026 - Mar 14, 2026 Lite 10 ₩16,258 {invoice.number}",
        ]
        assert "Adjustment Service outage -4711 · Service fee, Mar 15, 2026 -₩9,483 not yet" in charges
        # 16,258 + 39,483 + 72,000 - 9,483; and the last two, which are not invoiced.
        shown = text_of(page.text)
        assert "Total before VAT ₩118,258" in shown
        assert "of which not yet invoiced ₩62,517" in shown
        # 55,741 and 10% of it.
        issued = f"{invoice.issued_on:%b} {invoice.issued_on.day}, {invoice.issued_on:%Y}"
        [invoiced] = rows(page, "Invoices")
        assert f"{invoice.number} March 2026 {issued} ₩55,741 ₩5,574 ₩61,315" in invoiced


async def test_charge_unfolds_its_arithmetic_and_price(
    console: ConsoleServer, billed: SubscriptionDriver
) -> None:
    async with console.browser() as browser:
        await sign_in(browser, billed.request["customer_id"])
        page = await browser.get(f"/subscriptions/{billed.id}/billing")
    folded = [text_of(each) for each in re.findall(r"<details>(.*?)</details>", page.text, re.DOTALL)]
    # 14 × 36,000 = 504,000 = 31 × 16,258 + 2
    assert folded[-1] == (
        "14/31 days × 10 members × ₩3,600 Calculation Period Calculation Exact amount "
        "Mar 1, 2026 - Mar 14, 2026 14/31 days × 10 members × ₩3,600 16,258 2/31 Rounded down ₩16,258 "
        "Lite at ₩3,600 per member and month: catalogue version 2020-01, in force on Mar 1, 2026"
    )
    assert len(folded) == 3


async def test_early_termination_fee_unfolds_its_parts(console: ConsoleServer) -> None:
    """R30's example: 36,000 is repaid for six months, and the fee is 10% of 180,000."""
    subscription = await console.service_env.paid("2027-01-01 09:00", plan="lite")
    await subscription.send("cancel", at="2027-07-01 09:00", date="2027-07-01")
    await subscription.has_closed()
    async with console.browser() as browser:
        await sign_in(browser, subscription.request["customer_id"])
        page = await browser.get(f"/subscriptions/{subscription.id}/billing")
    fee, repaid = (
        text_of(each) for each in re.findall(r"<details>(.*?)</details>", page.text, re.DOTALL)[:2]
    )
    assert fee.startswith("6 parts × 10%")
    assert "Sum × 10% 18,000 Rounded down ₩18,000" in fee
    assert "31/31 days × 10 members × (3,600 \N{MINUS SIGN} 3,000) 6,000" in repaid
    assert "Sum 36,000 Rounded down ₩36,000" in repaid
    assert "Lite at ₩3,600" in repaid
    assert "Lite at ₩3,000" in repaid


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
    """Return the visible text of the rows of the table with this caption, without folded details."""
    html = re.sub(r"<details>.*?</details>", "", page.text, flags=re.DOTALL)
    [table] = re.findall(
        rf"<table[^>]*>\s*<caption[^>]*>{caption}</caption>.*?<tbody>(.*?)</tbody>", html, re.DOTALL
    )
    return [text_of(row) for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)]


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split()).replace("\N{EN DASH}", "-")
