"""Damage that the job `reconcile` only reports: lists show it until an operator has corrected it."""

import asyncio
import json
from datetime import date, timedelta
from typing import Any

from support.corruption import (
    delete_all_histories,
    delete_rows,
    delete_run,
    execute_as_superuser,
    stored_rows,
)
from support.paused_workflows import paused
from support.polling import gather_all, wait_for
from support.reconcile_job import (
    SHORT_TIMEOUT,
    codes,
    found,
    gets_attention,
    night_passed,
)
from support.service_env import ServiceEnv, kst, open_service_env, unique_name
from support.subscription_driver import SubscriptionDriver
from temporalio import workflow
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.invoicing import InvoicingActivities
from activities.ledger_adjustments import insert_adjustment
from dev_stack.stack import EmbeddedStack
from integration.invoicing.test_invoices import LAST_OF_MARCH, adjustment, one_day
from subscription.adjustment import AdjustmentRequest
from subscription.invoice import IssueInvoices
from subscription.validation import parse_strict


async def charged(service_env: ServiceEnv, year: int = 2026) -> SubscriptionDriver:
    """10 members of basic at 7,200 KRW for two months: 51,096 KRW for 22 days of January, and 72,000."""
    subscription = await service_env.paid(f"{year}-01-10 09:00", term="MONTHLY")
    await subscription.advance_to(f"{year}-03-01 00:00")
    return subscription


# The damage, by the code of its finding. $1 is the subscription. It is in the future, because a run would
# examine an overdue one in any case.
DAMAGE = {
    "LINE_UNEXPECTED": (
        """
        INSERT INTO ledger_lines
        SELECT subscription_id, kind, '2029-01-01', '2029-02-01', sequence, 1000, effective_at, recorded_at,
               customer_id
          FROM ledger_lines WHERE subscription_id = $1 AND amount = 72000
        """,
        "The ledger has SERVICE_FEE/2029-01-01, which matches no event.",
        "DELETE FROM ledger_lines WHERE subscription_id = $1 AND amount = 1000",
    ),
    "LINE_UNEXPECTED, an amount": (
        "UPDATE ledger_lines SET amount = 1 WHERE subscription_id = $1 AND amount = 72000",
        "The ledger has SERVICE_FEE/2030-02-01, which matches no event.",
        "UPDATE ledger_lines SET amount = 72000 WHERE subscription_id = $1 AND amount = 1",
    ),
    "LINE_UNEXPECTED, a customer": (
        "UPDATE ledger_lines SET customer_id = 'C-X' WHERE subscription_id = $1 AND amount = 72000",
        "The ledger has SERVICE_FEE/2030-02-01, which matches no event.",
        """
        UPDATE ledger_lines AS line SET customer_id = row.customer_id FROM subscriptions AS row
         WHERE line.subscription_id = $1 AND row.subscription_id = $1
        """,
    ),
    "EVENT_DIFFERS": (
        "UPDATE lifecycle_events SET event = 'UPGRADED' WHERE subscription_id = $1 AND sequence = 2",
        "The columns of event 2 do not match its content.",
        "UPDATE lifecycle_events SET event = 'SWITCHED_TO_PAID' WHERE subscription_id = $1 AND sequence = 2",
    ),
    "EVENT_DIFFERS, unreadable": (
        """
        UPDATE lifecycle_events SET detail = json_build_object('was', detail)
         WHERE subscription_id = $1 AND sequence = 2
        """,
        "Event 2 cannot be read.",
        """
        UPDATE lifecycle_events SET detail = detail -> 'was' WHERE subscription_id = $1 AND sequence = 2
        """,
    ),
    "CHARGE_DIFFERS": (
        """
        WITH dearer AS (
            UPDATE ledger_lines SET amount = 72001 WHERE subscription_id = $1 AND amount = 72000
            RETURNING sequence)
        UPDATE lifecycle_events SET detail = jsonb_set(detail::jsonb, '{posted,0,amount}', '72001')
         WHERE subscription_id = $1 AND sequence IN (SELECT sequence FROM dearer)
        """,
        "SERVICE_FEES_POSTED of 2030-03-01 charges 72,001 KRW in 1 line; "
        "the rules calculate 72,000 KRW in 1 line.",
        """
        WITH right_one AS (
            UPDATE ledger_lines SET amount = 72000 WHERE subscription_id = $1 AND amount = 72001
            RETURNING sequence)
        UPDATE lifecycle_events SET detail = jsonb_set(detail::jsonb, '{posted,0,amount}', '72000')
         WHERE subscription_id = $1 AND sequence IN (SELECT sequence FROM right_one)
        """,
    ),
    "WORKFLOW_DIFFERS": (
        """
        UPDATE lifecycle_events
           SET detail = jsonb_set(detail::jsonb, '{trial_ends_at}', '"2030-02-08T09:00:00+09:00"')
         WHERE subscription_id = $1 AND sequence = 1
        """,
        "Its events and its workflow differ in trial_ends_at.",
        """
        UPDATE lifecycle_events
           SET detail = jsonb_set(detail::jsonb, '{trial_ends_at}', '"2030-02-09T09:00:00+09:00"')
         WHERE subscription_id = $1 AND sequence = 1
        """,
    ),
    "ADJUSTMENT_DIFFERS": (
        """
        INSERT INTO ledger_adjustments
        SELECT subscription_id, 'T-1', customer_id, kind, first_day, -72001, 'GOODWILL', 'T-1', effective_at
          FROM ledger_lines WHERE subscription_id = $1 AND amount = 72000
        """,
        "Adjustments give back more of SERVICE_FEE/2030-02-01 than it charges.",
        "DELETE FROM ledger_adjustments WHERE subscription_id = $1",
    ),
}


async def test_unrepairable_finding_is_shown_until_resolved(isolated_env: ServiceEnv) -> None:
    subscriptions = dict(
        zip(DAMAGE, await gather_all(charged(isolated_env, 2030) for _ in DAMAGE), strict=True)
    )
    await night_passed(isolated_env)
    before = {
        what: await stored_rows(isolated_env, subscription) for what, subscription in subscriptions.items()
    }
    for what, (plant, _, _) in DAMAGE.items():
        await execute_as_superuser(isolated_env, plant, subscriptions[what].id)

    findings = await found(isolated_env)

    assert {(each.subscription_id, each.code.value, each.message) for each in findings} == {
        (subscriptions[what].id, what.partition(",")[0], message) for what, (_, message, _) in DAMAGE.items()
    }
    assert not any(finding.repaired for finding in findings)
    for subscription in subscriptions.values():
        await gets_attention(subscription)
    assert [each.message for each in await found(isolated_env)] == [each.message for each in findings]

    for what, (_, _, amend) in DAMAGE.items():
        await execute_as_superuser(isolated_env, amend, subscriptions[what].id)
        assert await stored_rows(isolated_env, subscriptions[what]) == before[what], what
    assert await found(isolated_env) == []
    for subscription in subscriptions.values():
        await gets_attention(subscription, needed=False)


async def test_stuck_workflow_is_distinguished_from_slow_one(isolated_env: ServiceEnv) -> None:
    failing, elsewhere, sound = await gather_all(isolated_env.requested() for _ in range(3))
    await isolated_env.owner.execute(
        """
        CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$;
        CREATE TRIGGER broken BEFORE INSERT ON lifecycle_events FOR EACH ROW WHEN (NEW.sequence > 1)
            EXECUTE FUNCTION break();
        """
    )
    pending_command = asyncio.create_task(failing.send("rename_account", group=unique_name("renamed")))
    await wait_for("it has failed", lambda: is_failing(failing))
    await elsewhere.handle.terminate(reason="by an operator's mistake")
    await isolated_env.temporal.start_workflow(
        "SubscriptionWorkflow", id=elsewhere.workflow_id, task_queue="misspelt"
    )

    findings = await found(isolated_env, answer_timeout=SHORT_TIMEOUT)

    assert {
        (finding.subscription_id, finding.code, finding.message, finding.repaired) for finding in findings
    } == {
        (failing.id, "WORKFLOW_STUCK", "record_transition keeps failing, with RaiseError.", False),
        (
            elsewhere.id,
            "WORKFLOW_STUCK",
            "It waits on task queue misspelt, which is not the service's.",
            False,
        ),
    }
    await gets_attention(failing)
    await isolated_env.owner.execute("DROP TRIGGER broken ON lifecycle_events")
    await failing.retry_until_done(pending_command)
    await elsewhere.handle.terminate(reason="to be started anew")
    assert await codes(isolated_env) == {elsewhere.id: [("WORKFLOW_MISSING", True)]}
    await gets_attention(failing, needed=False)
    assert await found(isolated_env) == []
    assert await sound.events() == ["TRIAL_STARTED"]


async def is_failing(subscription: SubscriptionDriver) -> bool:
    pending = (await subscription.handle.describe()).raw_description.pending_activities
    return any(each.HasField("last_failure") for each in pending)


@workflow.defn(name="SubscriptionWorkflow")
class OfAnotherRelease:
    """A workflow whose history the workflow of this release cannot replay."""

    @workflow.run
    async def run(self) -> None:
        await workflow.sleep(timedelta(days=1))


async def test_non_replayable_workflow_is_found_before_deadline(
    stack: EmbeddedStack, temporal: Client
) -> None:
    async with open_service_env(stack, temporal, works=False) as service_env:
        async with service_env.worker():
            subscription = await service_env.requested()
            await subscription.handle.terminate(reason="by an operator's mistake")
        runner = UnsandboxedWorkflowRunner()
        async with Worker(
            temporal,
            task_queue=service_env.task_queue,
            workflows=[OfAnotherRelease],
            workflow_runner=runner,
            build_id="another",
        ):
            await temporal.start_workflow(
                "SubscriptionWorkflow", id=subscription.workflow_id, task_queue=service_env.task_queue
            )
            await wait_for("the workflow is idle", lambda: is_asleep(subscription))
        async with service_env.worker():
            [finding] = await found(service_env, answer_timeout=SHORT_TIMEOUT)
            assert (finding.code, finding.repaired) == ("WORKFLOW_STUCK", False)
            assert finding.message.startswith("Its workflow tasks keep failing")


async def is_asleep(subscription: SubscriptionDriver) -> bool:
    return any(event.HasField("timer_started_event_attributes") for event in await subscription.history())


async def test_data_lost_on_both_sides_is_reported(isolated_env: ServiceEnv) -> None:
    rowless, nameless, unreadable, erased = await gather_all(charged(isolated_env) for _ in range(4))
    await erased.cancel_and_wait("2026-03-02 09:00")
    # The run in which they were requested is past its retention.
    for subscription in (rowless, nameless):
        await delete_run(subscription, (await subscription.has_run(2))[0])
    await delete_rows(isolated_env, rowless)
    await execute_as_superuser(isolated_env, "DELETE FROM companies WHERE subscription_id = $1", nameless.id)
    await execute_as_superuser(
        isolated_env, "UPDATE subscriptions SET snapshot = '{}' WHERE subscription_id = $1", unreadable.id
    )
    await delete_all_histories(unreadable)
    await execute_as_superuser(
        isolated_env, "DELETE FROM lifecycle_events WHERE subscription_id = $1 AND sequence = 2", erased.id
    )

    assert await codes(isolated_env) == {
        rowless.id: [("ROW_MISSING", False)],
        nameless.id: [("DATA_MISSING", False)],
        unreadable.id: [("UNREADABLE", False), ("WORKFLOW_MISSING", False)],
        erased.id: [("EVENT_MISSING", False)],
    }
    await gets_attention(rowless)
    await gets_attention(nameless)


async def test_invoices_are_compared_with_ledger_and_numbers(isolated_env: ServiceEnv) -> None:
    await gather_all(charged(isolated_env) for _ in range(5))
    await isolated_env.temporal.execute_workflow(
        "InvoicesWorkflow", {"month": "2026-02"}, id=unique_name("close"), task_queue=isolated_env.task_queue
    )
    first, second, third, fourth, fifth = [invoice.number for invoice in await isolated_env.client.invoices()]
    assert await found(isolated_env) == []
    for statement, argument in (
        ("DELETE FROM invoice_entries WHERE number = $1", second),
        ("UPDATE invoices SET supply = supply + 1, vat = vat - 1 WHERE number = $1", third),
        ("UPDATE invoices SET document = jsonb_set(document, '{vat_amount}', '0') WHERE number = $1", fourth),
        ("DELETE FROM invoice_entries WHERE number = $1", fifth),
        ("DELETE FROM invoices WHERE number = $1", fifth),
    ):
        await execute_as_superuser(isolated_env, statement, argument)

    findings = await found(isolated_env)

    year = first[:4]
    assert {(finding.subscription_id, finding.code, finding.message) for finding in findings} == {
        (
            None,
            "INVOICE_DIFFERS",
            f"Invoice {second}: its entries differ from those marked as invoiced.",
        ),
        (None, "INVOICE_DIFFERS", f"Invoice {third}: its columns do not match its document."),
        (None, "INVOICE_DIFFERS", f"Invoice {fourth}: its columns do not match its document."),
        (None, "INVOICE_DIFFERS", f"Invoice {fourth}: its totals do not match its entries."),
        (None, "INVOICE_MISSING", f"The last invoice of {year} is number 4, but the counter is 5."),
    }
    await execute_as_superuser(isolated_env, "DELETE FROM invoices WHERE number = $1", second)
    messages = [each.message for each in await found(isolated_env)]
    assert f"Invoice {second} is missing." in messages


async def test_invoice_without_ledger_lines_is_found(isolated_env: ServiceEnv) -> None:
    subscription = await charged(isolated_env)
    await isolated_env.temporal.execute_workflow(
        "InvoicesWorkflow", {"month": "2026-02"}, id=unique_name("close"), task_queue=isolated_env.task_queue
    )
    [invoice] = await isolated_env.client.invoices()
    await execute_as_superuser(isolated_env, "UPDATE ledger_lines SET amount = 1 WHERE amount = 72000")
    assert [(each.subscription_id, each.code.value, each.message) for each in await found(isolated_env)] == [
        (
            None,
            "INVOICE_DIFFERS",
            f"Invoice {invoice.number}: the ledger line {subscription.id}/SERVICE_FEE/2026-02-01 differs.",
        ),
        (
            subscription.id,
            "LINE_UNEXPECTED",
            "The ledger has SERVICE_FEE/2026-02-01, which matches no event.",
        ),
    ]


async def test_invoice_corrections_are_recalculated(
    isolated_env: ServiceEnv,
) -> None:
    """Two lines of 116 KRW on one invoice; one is credited in April, the other in May.

    The tax of 232 is 23, of the remaining 116 in April 11, and of nothing 0. So the credit notes have
    12 and 11.
    """
    subscriptions = [await one_day(isolated_env, customer_id="C-whole") for _ in range(2)]
    activities = InvoicingActivities(isolated_env.pool)

    async def issued(month: int) -> None:
        wanted = IssueInvoices(month=date(2026, month, 1), issued_on=date(2026, month + 1, 3))
        await ActivityEnvironment().run(activities.issue_invoices, wanted)

    await issued(3)
    for subscription, at in zip(subscriptions, ("2026-04-10", "2026-05-10"), strict=True):
        wanted = parse_strict(
            AdjustmentRequest,
            {**adjustment(subscription, -116), "key": f"{subscription.id}/SERVICE_FEE/{LAST_OF_MARCH}"},
        )
        async with isolated_env.pool.acquire() as connection:
            await insert_adjustment(connection, wanted, kst(at))
    await issued(4)
    await issued(5)
    whole, april, may = await isolated_env.client.invoices()
    assert [(each.supply_amount, each.vat_amount) for each in (whole, april, may)] == [
        (232, 23),
        (-116, -12),
        (-116, -11),
    ]
    assert await found(isolated_env) == []

    # Both documents stay consistent in themselves.
    change = "UPDATE invoices SET vat = $2, total = $3, document = document || $4::jsonb WHERE number = $1"
    none: dict[str, Any] = {"corrected": [], "vat_amount": -11, "total": -127}
    [corrected] = may.corrected
    twice = corrected.model_copy(update={"supply_before": 232, "supply_after": 116})
    first = {"corrected": [twice.model_dump()], "vat_amount": -12, "total": -128}
    await execute_as_superuser(isolated_env, change, april.number, -11, -127, json.dumps(none))
    await execute_as_superuser(isolated_env, change, may.number, -12, -128, json.dumps(first))
    message = "corrections of earlier invoices do not match its adjustments"
    for _ in range(2):
        assert [(each.code.value, each.repaired, each.message) for each in await found(isolated_env)] == [
            ("INVOICE_DIFFERS", False, f"Invoice {april.number}: its {message}."),
            ("INVOICE_DIFFERS", False, f"Invoice {may.number}: its {message}."),
        ]

    # A value that PostgreSQL cannot compute with breaks the comparison only for the affected invoices.
    await execute_as_superuser(
        isolated_env,
        """UPDATE invoices SET document = jsonb_set(document, '{vat_percent}', '"ten"') WHERE number = $1""",
        whole.number,
    )
    unexamined = "its corrections could not be checked (InvalidTextRepresentationError)"
    assert [each.message for each in await found(isolated_env)] == [
        f"Invoice {whole.number}: it cannot be read.",
        f"Invoice {april.number}: {unexamined}.",
        f"Invoice {may.number}: {unexamined}.",
    ]


async def test_paused_workflow_is_reported_and_not_replaced(isolated_env: ServiceEnv) -> None:
    """With a correct row, and with a missing event that the histories still have."""
    well, lacking, running = await gather_all(charged(isolated_env) for _ in range(3))
    await night_passed(isolated_env)
    before = await stored_rows(isolated_env, lacking)
    await execute_as_superuser(
        isolated_env,
        """
        WITH lost AS (DELETE FROM ledger_lines WHERE subscription_id = $1 AND sequence = 2)
        DELETE FROM lifecycle_events WHERE subscription_id = $1 AND sequence = 2
        """,
        lacking.id,
    )
    runs = [await subscription.run_ids() for subscription in (well, lacking)]
    async with paused(isolated_env.temporal, well.id), paused(isolated_env.temporal, lacking.id):
        assert await codes(isolated_env) == {
            well.id: [("WORKFLOW_PAUSED", False)],
            lacking.id: [("WORKFLOW_PAUSED", False), ("EVENT_MISSING", True)],
        }
        assert await stored_rows(isolated_env, lacking) == before
        [finding, _] = await found(isolated_env)
        assert finding.message.startswith("Its workflow has been paused since 20")
        # The operator's name and reason of the pause are free text.
        assert "T-4711" not in finding.message
    assert [await subscription.run_ids() for subscription in (well, lacking)] == runs
    assert await found(isolated_env) == []
    for subscription in (well, lacking, running):
        await gets_attention(subscription, needed=False)
