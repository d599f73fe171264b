"""Invoices and adjustments: a month is closed once, with numbers without gaps, and nothing is edited."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterable
from datetime import date
from typing import Any

import asyncpg
import pytest
from rich.console import Console
from support.lock_waits import wait_for_blocked_sessions
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv, kst, open_service_env, unique_name
from support.subscription_driver import SubscriptionDriver
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.invoicing import InvoicingActivities
from activities.ledger_adjustments import insert_adjustment
from adapters.invoice_html import invoice_page
from adapters.translation import Language
from dev_stack.stack import EmbeddedStack
from entrypoints.cli.views.billing import invoice_view
from subscription.adjustment import AdjustmentReason, AdjustmentRequest
from subscription.catalogue import PriceBook, Supplier
from subscription.invoice import (
    CorrectedInvoice,
    Invoice,
    InvoicedAdjustment,
    InvoicedSubscription,
    InvoicesIssued,
    IssueInvoices,
    invoice_for,
)
from subscription.refusals import RefusalCode, RefusalError
from subscription.validation import parse_strict

MARCH = date(2026, 3, 1)
LAST_OF_MARCH = "2026-03-31"
LATEST = {"agreed_terms": [{"id": "service", "version": "2026-01"}, {"id": "privacy", "version": "2026-01"}]}


@pytest.fixture(scope="module")
async def billing_env(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[ServiceEnv]:
    """Open the environment of tests that look only at their own customers; each run invoices all of them."""
    async with open_service_env(stack, temporal) as opened:
        yield opened


@pytest.fixture(scope="module")
async def march_invoice(billing_env: ServiceEnv) -> Invoice:
    """Return the invoice of R21's example."""
    customer = unique_name("C")
    await upgraded_in_march(billing_env, customer_id=customer)
    await closed(billing_env)
    [invoice] = await billing_env.client.invoices(customer_id=customer)
    return invoice


async def closed(service_env: ServiceEnv, month: str = "2026-03") -> dict[str, Any]:
    report: dict[str, Any] = await service_env.temporal.execute_workflow(
        "InvoicesWorkflow", {"month": month}, id=unique_name("close"), task_queue=service_env.task_queue
    )
    return report


async def upgraded_in_march(service_env: ServiceEnv, **changes: Any) -> SubscriptionDriver:
    """R21's example: 14 days of 36,000 and 17 of 72,000 make 16,258 and 39,483 KRW."""
    subscription = await service_env.paid("2026-03-01 09:00", term="MONTHLY", plan="lite", **changes)
    await subscription.send("upgrade", at="2026-03-15 09:00", plan="basic", **LATEST)
    await subscription.advance_to("2026-04-01 00:00")
    return subscription


def amounts(invoice: Invoice) -> list[list[int]]:
    return [[entry.amount for entry in each.entries] for each in invoice.subscriptions]


async def test_month_is_invoiced_once_by_subscription_with_tax(
    isolated_env: ServiceEnv,
) -> None:
    """Each month is closed once: its lines are grouped by subscription, and the tax is ten percent."""
    first = await upgraded_in_march(isolated_env, customer_id="C-1")
    # 20 members at list 12,000 for the whole of March.
    second = await isolated_env.paid(
        "2026-03-01 09:00", term="MONTHLY", plan="premium", members=20, customer_id="C-1"
    )
    await second.advance_to("2026-04-01 00:00")
    other = await upgraded_in_march(isolated_env, customer_id="C-2")

    report = await closed(isolated_env)

    # C-1: 55,741 + 240,000 = 295,741; a tenth of it is 29,574.1. C-2: 55,741 and 5,574.1.
    assert report["summary"] == "2 invoices for 2026-03, 386,630 KRW in total with VAT."
    [mine, theirs] = await isolated_env.client.invoices(month=MARCH)
    assert (mine.supply_amount, mine.vat_amount, mine.total) == (295_741, 29_574, 325_315)
    assert (theirs.supply_amount, theirs.vat_amount, theirs.total) == (55_741, 5_574, 61_315)
    assert [number[4:] for number in (mine.number, theirs.number)] == ["-000001", "-000002"]
    by_id = {each.subscription_id: [entry.amount for entry in each.entries] for each in mine.subscriptions}
    assert by_id == {first.id: [16_258, 39_483], second.id: [240_000]}
    assert [each.subscription_id for each in theirs.subscriptions] == [other.id]

    again = await gather_all([closed(isolated_env), closed(isolated_env)])
    assert [(each["issued"], each["total"]) for each in again] == [(0, 0), (0, 0)]
    assert await isolated_env.client.invoices() == [mine, theirs]


async def test_late_line_is_on_the_next_invoice(billing_env: ServiceEnv) -> None:
    customer = unique_name("C")
    await upgraded_in_march(billing_env, customer_id=customer)
    await closed(billing_env)
    late = await upgraded_in_march(billing_env, customer_id=customer)
    assert (await closed(billing_env))["issued"] == 0

    await closed(billing_env, "2026-04")
    [_, april] = await billing_env.client.invoices(customer_id=customer)
    assert {each.subscription_id for each in april.subscriptions} == {late.id}
    assert amounts(april) == [[16_258, 39_483]]


async def test_only_local_stack_dates_invoices_by_test_clock(billing_env: ServiceEnv) -> None:
    invoiced, other = unique_name("C"), unique_name("C")
    await upgraded_in_march(billing_env, customer_id=other)
    await upgraded_in_march(billing_env, customer_id=invoiced)
    as_of = IssueInvoices(month=MARCH, issued_on=date(2026, 4, 3), customer_id=invoiced, by_test_clock=True)
    production = InvoicingActivities(billing_env.pool)
    with pytest.raises(ApplicationError, match="Only the local stack") as refused:
        await ActivityEnvironment().run(production.issue_invoices, as_of)
    assert refused.value.non_retryable
    assert await billing_env.client.invoices(customer_id=invoiced) == []

    assert await billing_env.temporal.execute_workflow(
        "InvoicesWorkflow",
        {"customer_id": invoiced, "as_of": "2026-04-03"},
        id=unique_name("close"),
        task_queue=billing_env.task_queue,
    )
    [invoice] = await billing_env.client.invoices(customer_id=invoiced)
    assert (invoice.customer_id, invoice.month, invoice.issued_on) == (invoiced, MARCH, date(2026, 4, 3))
    assert await billing_env.client.invoices(customer_id=other) == []


async def test_concurrent_or_aborted_runs_leave_no_number_gap(
    isolated_env: ServiceEnv,
) -> None:
    await gather_all(upgraded_in_march(isolated_env, customer_id=f"C-{number:02}") for number in range(6))

    async def two_are_issued() -> bool:
        return bool(await isolated_env.owner.fetchval("SELECT count(*) = 2 FROM invoices"))

    async with isolated_env.owner.acquire() as connection:
        # Writing the third invoice fails, as if the worker had been killed in the middle.
        await connection.execute(
            """
            CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'broken off' USING ERRCODE = 'admin_shutdown'; END $$;
            CREATE TRIGGER break_off BEFORE INSERT ON invoices
                FOR EACH ROW WHEN (NEW.customer_id = 'C-02') EXECUTE FUNCTION break_off();
            """
        )
        closing = asyncio.gather(closed(isolated_env), closed(isolated_env))
        await wait_for("two are issued", two_are_issued)
        await connection.execute("DROP TRIGGER break_off ON invoices")
    await closing
    invoices = await isolated_env.client.invoices()
    assert [int(invoice.number[5:]) for invoice in invoices] == list(range(1, 7))
    assert [invoice.customer_id for invoice in invoices] == sorted(f"C-{number:02}" for number in range(6))


async def test_runs_with_different_numbering_years_invoice_once(isolated_env: ServiceEnv) -> None:
    await upgraded_in_march(isolated_env)
    activities = InvoicingActivities(isolated_env.pool)

    async def issued(year: int) -> InvoicesIssued:
        wanted = IssueInvoices(month=MARCH, issued_on=date(year, 1, 1))
        answer: InvoicesIssued = await ActivityEnvironment().run(activities.issue_invoices, wanted)
        return answer

    # Each run has read the open entries, or waits until the other one has issued them.
    async with (
        asyncio.TaskGroup() as group,
        isolated_env.owner.acquire() as connection,
        connection.transaction(),
    ):
        await connection.execute("LOCK TABLE invoice_entries IN SHARE MODE")
        runs = [group.create_task(issued(year)) for year in (2027, 2028)]
        await wait_for_blocked_sessions(isolated_env.owner, 2)
    answers = [run.result() for run in runs]
    assert sorted(answer.issued for answer in answers) == [0, 1]
    assert [answer.failed for answer in answers] == [(), ()]
    [invoice] = await isolated_env.client.invoices()
    assert invoice.number == f"{invoice.issued_on.year}-000001"


async def test_full_page_of_customers_is_followed_by_another(
    billing_env: ServiceEnv, march_invoice: Invoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.invoicing._CUSTOMERS_A_PAGE", 1)
    activities, customer = InvoicingActivities(billing_env.pool), march_invoice.customer_id

    async def next_after(after: str) -> str | None:
        wanted = IssueInvoices(month=MARCH, issued_on=date(2026, 4, 3), after=after, customer_id=customer)
        page: InvoicesIssued = await ActivityEnvironment().run(activities.issue_invoices, wanted)
        return page.next_after

    assert await next_after("") == customer
    assert await next_after(customer) is None


async def test_an_invoice_is_never_changed(billing_env: ServiceEnv, march_invoice: Invoice) -> None:
    for pool in (billing_env.pool, billing_env.owner):
        for statement in (
            "UPDATE invoices SET total = 0, supply = 0, vat = 0 WHERE number = $1",
            "DELETE FROM invoice_entries WHERE number = $1",
        ):
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.RestrictViolationError)):
                await pool.execute(statement, march_invoice.number)


async def test_late_run_closes_the_month_before_its_scheduled_day(billing_env: ServiceEnv) -> None:
    """The server sets the scheduled time; a run may start days later, after an outage of the workers."""
    scheduled = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")
    report = await billing_env.temporal.execute_workflow(
        "InvoicesWorkflow",
        {"customer_id": unique_name("C")},
        id=unique_name("close"),
        task_queue=billing_env.task_queue,
        search_attributes=TypedSearchAttributes(
            [SearchAttributePair(scheduled, kst("2026-05-01 03:00"))],
        ),
    )
    assert report["month"] == "2026-04-01"


async def test_a_month_that_has_not_ended_is_not_closed(billing_env: ServiceEnv) -> None:
    for argument, code in (
        ({"month": "2999-01"}, RefusalCode.MONTH_NOT_ENDED),
        ({"month": "March"}, RefusalCode.INVALID_ARGUMENT),
        ({"moth": "2026-03"}, RefusalCode.INVALID_ARGUMENT),
        ([], RefusalCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(WorkflowFailureError) as failure:
            await billing_env.temporal.execute_workflow(
                "InvoicesWorkflow", argument, id=unique_name("close"), task_queue=billing_env.task_queue
            )
        assert getattr(failure.value.cause, "type", None) == code


def adjustment(subscription: SubscriptionDriver, amount: int, **changes: Any) -> dict[str, Any]:
    return {
        "subscription_id": subscription.id,
        "id": "T-1",
        "key": f"{subscription.id}/SERVICE_FEE/2026-03-15",
        "amount": amount,
        "reason": "WRONG_CHARGE",
        "reference": "T-1",
        **changes,
    }


async def test_adjustment_runs_once_and_is_invoiced(billing_env: ServiceEnv) -> None:
    customer = unique_name("C")
    subscription = await upgraded_in_march(billing_env, customer_id=customer)
    before = await subscription.ledger()
    first = await billing_env.client.adjust(adjustment(subscription, -9_483))
    assert await billing_env.client.adjust(adjustment(subscription, -9_483)) == first
    assert await billing_env.client.adjustments(subscription.id) == [first]
    assert await subscription.ledger() == before

    async def refused(**changes: Any) -> tuple[str, str | None]:
        with pytest.raises(RefusalError) as refusal:
            await billing_env.client.adjust(adjustment(subscription, **{"amount": -1, **changes}))
        return refusal.value.refused.code, refusal.value.refused.field

    assert await refused() == (RefusalCode.ADJUSTMENT_ID_REUSED, "id")
    other_ticket = await refused(amount=-9_483, reference="T-9999")
    assert other_ticket == (RefusalCode.ADJUSTMENT_ID_REUSED, "id")
    # 30,000 of the 39,483 remain.
    assert await refused(id="T-2", amount=-30_001) == (RefusalCode.ADJUSTED_TOO_MUCH, "amount")
    assert await refused(id="T-2", amount=0) == (RefusalCode.INVALID_VALUE, "amount")
    assert await refused(id="T-2", key=f"{subscription.id}/SERVICE_FEE/2026-03-16") == (
        RefusalCode.LINE_NOT_FOUND,
        "key",
    )
    assert await refused(id="T-2", reason="BECAUSE") == (RefusalCode.INVALID_ARGUMENT, "reason")
    assert await refused(id="no spaces") == (RefusalCode.INVALID_ARGUMENT, "id")

    # Created today, so it belongs to the current month, which has not ended; March has only its own lines.
    await closed(billing_env)
    [march] = await billing_env.client.invoices(customer_id=customer)
    assert amounts(march) == [[16_258, 39_483]]


async def test_r30_termination_fee_is_invoiced_in_its_month(billing_env: ServiceEnv) -> None:
    """Cancelled on 1 February of an annual contract: reserved, and on the day at 09:00 (R28, R30)."""
    reserved = await billing_env.paid("2026-01-01 09:00", term="ANNUAL", customer_id="C-reserved")
    await reserved.send("cancel", at="2026-01-15 09:00", date="2026-02-01")
    await reserved.advance_to("2026-02-01 00:00")
    immediate = await billing_env.paid("2026-01-01 09:00", term="ANNUAL", customer_id="C-asked")
    await immediate.cancel_and_wait("2026-02-01 09:00")
    await closed(billing_env, "2026-01")
    await closed(billing_env, "2026-02")
    for customer in ("C-reserved", "C-asked"):
        january, february = await billing_env.client.invoices(customer_id=customer)
        assert [entry.kind for each in january.subscriptions for entry in each.entries] == ["SERVICE_FEE"]
        assert [entry.kind for each in february.subscriptions for entry in each.entries] == [
            "DISCOUNT_REPAYMENT",
            "EARLY_TERMINATION_FEE",
        ]


async def test_adjustment_is_limited_by_its_line(billing_env: ServiceEnv) -> None:
    """The line of 39,483 is adjusted by at most its amount, and a reversal removes the rest."""
    subscription = await upgraded_in_march(billing_env)

    async def refused(amount: int, **changes: Any) -> tuple[str, object]:
        with pytest.raises(RefusalError) as refusal:
            await billing_env.client.adjust(adjustment(subscription, amount, id=unique_name("T"), **changes))
        return refusal.value.refused.code, refusal.value.refused.parameters.get("left")

    assert await refused(39_484) == (RefusalCode.ADJUSTED_TOO_MUCH, 39_483)
    assert await refused(10**17) == (RefusalCode.INVALID_ARGUMENT, None)
    assert await refused(100, reason="REVERSAL") == (RefusalCode.REVERSED_TOO_MUCH, 0)
    await billing_env.client.adjust(adjustment(subscription, -1_000, id="T-1"))
    assert await refused(-1, reason="REVERSAL") == (RefusalCode.REVERSED_TOO_MUCH, 1_000)
    assert await refused(1_001, reason="REVERSAL") == (RefusalCode.REVERSED_TOO_MUCH, 1_000)
    await billing_env.client.adjust(adjustment(subscription, 1_000, id="T-2", reason="REVERSAL"))
    assert await refused(-1, reason="REVERSAL") == (RefusalCode.REVERSED_TOO_MUCH, 0)
    with pytest.raises(asyncpg.CheckViolationError, match="must not exceed the amount of its ledger line"):
        await billing_env.pool.execute(
            """
            INSERT INTO ledger_adjustments (subscription_id, adjustment_id, customer_id, line_kind,
                                            line_first_day, amount, reason, reference, effective_at)
            VALUES ($1, 'T-3', 'C-1', 'SERVICE_FEE', '2026-03-15', 39484, 'GOODWILL', 'T-3', now())
            """,
            subscription.id,
        )


async def test_credit_note_returns_the_charged_tax(billing_env: ServiceEnv) -> None:
    """116 KRW a line: two invoices of one line have 11 each, one invoice of two lines has 23."""
    customers = ("C-small-1", "C-small-2", "C-whole", "C-whole")
    subscriptions = [await one_day(billing_env, customer_id=customer) for customer in customers]
    await closed(billing_env)
    assert await taxes(billing_env, customers) == {"C-small-1": [11], "C-small-2": [11], "C-whole": [23]}
    activities = InvoicingActivities(billing_env.pool)
    for number, subscription in enumerate(subscriptions):
        async with billing_env.pool.acquire() as connection:
            key = f"{subscription.id}/SERVICE_FEE/{LAST_OF_MARCH}"
            wanted = parse_strict(AdjustmentRequest, {**adjustment(subscription, -116), "key": key})
            # In April the first line of each customer, at the start of May the second one of C-whole.
            at = kst("2026-05-01") if number == 3 else kst("2026-04-10")
            await insert_adjustment(connection, wanted, at)
    for month in (4, 5):
        wanted_invoices = IssueInvoices(month=date(2026, month, 1), issued_on=date(2026, month + 1, 1))
        await ActivityEnvironment().run(activities.issue_invoices, wanted_invoices)
    # C-whole: 232 has 23, the remaining 116 in April have 11, and nothing remains in May.
    assert await taxes(billing_env, customers) == {
        "C-small-1": [11, -11],
        "C-small-2": [11, -11],
        "C-whole": [23, -12, -11],
    }


async def taxes(service_env: ServiceEnv, customers: Iterable[str]) -> dict[str, list[int]]:
    """Return the VAT of each invoice of these customers, in order of number."""
    return {
        customer: [each.vat_amount for each in await service_env.client.invoices(customer_id=customer)]
        for customer in customers
    }


def test_small_credit_note_mirrors_its_invoices() -> None:
    """5 and 5 without tax: the credit note of -10 gives none back. 10 with 1: it gives back 1."""
    small = [
        CorrectedInvoice(number=f"2026-00000{n}", vat_percent=10, supply_before=5, supply_after=0)
        for n in (1, 2)
    ]
    whole = [CorrectedInvoice(number="2026-000003", vat_percent=10, supply_before=10, supply_after=0)]
    assert [credit_note(-10, small).vat_amount, credit_note(-10, whole).vat_amount] == [0, -1]


def test_credit_note_names_corrected_invoice() -> None:
    """Both on its page and in the terminal."""
    whole = [CorrectedInvoice(number="2026-000003", vat_percent=10, supply_before=10, supply_after=0)]
    nothing_sold = PriceBook(versions=())
    korean, english = (invoice_page(credit_note(-10, whole), each, nothing_sold) for each in Language)
    for words in ("정정 대상 청구서", "2026-000003", "-1 (10%)", "서비스 이용요금, 2026. 3. 1."):
        assert words in korean
    for words in ("Corrected invoices", "2026-000003", "-1 (10%)", "for Service fee, Mar 1, 2026"):
        assert words in english
    shown = io.StringIO()
    Console(file=shown, width=200).print(invoice_view(credit_note(-10, whole)))
    for words in ("for SERVICE_FEE/2026-03-01", "2026-000003", "Change of VAT (KRW)"):
        assert words in shown.getvalue()


def credit_note(amount: int, corrected: list[CorrectedInvoice]) -> Invoice:
    entry = InvoicedAdjustment(
        key="s/ADJUSTMENT/T-1",
        corrects="s/SERVICE_FEE/2026-03-01",
        reason=AdjustmentReason.WRONG_CHARGE,
        reference="T-1",
        amount=amount,
    )
    return invoice_for(
        "customer",
        MARCH,
        [InvoicedSubscription(subscription_id="s", entries=(entry,))],
        number="2026-000004",
        issued_on=date(2026, 5, 1),
        vat_percent=10,
        supplier=Supplier(),
        corrected=corrected,
    )


async def one_day(service_env: ServiceEnv, **changes: Any) -> SubscriptionDriver:
    """Return a subscription with a ledger line of one day: 1/31 x 3,600 = 116 KRW."""
    subscription = await service_env.paid(
        f"{LAST_OF_MARCH} 09:00", term="MONTHLY", plan="lite", members=1, **changes
    )
    await subscription.advance_to("2026-04-01 00:00")
    return subscription


async def test_erased_subscription_can_be_adjusted(billing_env: ServiceEnv) -> None:
    subscription = await upgraded_in_march(billing_env)
    await subscription.cancel_and_wait("2026-04-01 09:00")
    made = await billing_env.client.adjust(adjustment(subscription, -39_483))
    assert await billing_env.client.adjustments(subscription.id) == [made]


async def test_invoice_page_is_bilingual_and_escapes_text(
    billing_env: ServiceEnv, march_invoice: Invoice
) -> None:
    book = await billing_env.client.price_book()
    korean, english = (invoice_page(march_invoice, language, book) for language in Language)
    for words in ("공급가액", "부가가치세", "61,315", "서비스 이용요금", "2026. 3. 15. ~ 2026. 3. 31."):
        assert words in korean
    for words in ("Supply amount", "VAT", "61,315", "Service fee", "39,483", "Mar 15, 2026 \N{EN DASH} Mar"):
        assert words in english
    odd = march_invoice.model_copy(update={"customer_id": "<script>alert(1)</script>"})
    assert "<script>" not in invoice_page(odd, Language.EN, book)
