"""Jobs with one failing item: it is reported, and all other items are processed, also in the next run."""

import asyncio
from datetime import date
from typing import Any

import asyncpg
import pytest
from support.corruption import delete_all_histories, execute_as_superuser
from support.notices_job import run_notices_job
from support.orphaned_histories import create_orphaned_history
from support.polling import gather_all, wait_for
from support.reconcile_job import codes, found
from support.service_env import ServiceEnv, open_service_env, unique_name
from support.smtp_server import SmtpServer
from support.subscription_driver import SubscriptionDriver
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.batch import Batch
from adapters.outages import concerns_all
from adapters.postgres.pool import _COMMAND_SECONDS, create_pool
from dev_stack.stack import EmbeddedStack
from integration.erasure.test_retention import purged
from integration.invoicing.test_invoices import closed, upgraded_in_march
from integration.notices.test_notices import outbox, trial
from integration.worker.test_temporal_tools import first_task, reset
from subscription.batch import MemberFailure, failures_message, first_failures

UNREADABLE = "UPDATE subscriptions SET snapshot = '{}' WHERE subscription_id = $1"


async def replace_workflow(service_env: ServiceEnv, subscription: SubscriptionDriver, kind: str) -> None:
    """Replace the subscription's workflow by one that no worker can run."""
    await subscription.handle.terminate(reason="by an operator's mistake")
    await service_env.temporal.start_workflow(
        kind, id=subscription.workflow_id, task_queue=service_env.task_queue
    )

    async def fails() -> bool:
        described = (await subscription.handle.describe()).raw_description
        return described.pending_workflow_task.attempt > 1

    await wait_for("its task fails", fails)


async def test_reconcile_reports_stuck_and_repairs_the_rest(isolated_env: ServiceEnv) -> None:
    subscriptions = sorted(
        await gather_all(isolated_env.requested() for _ in range(6)), key=lambda subscription: subscription.id
    )
    unreadable, strange, lost, dated, well, last = subscriptions
    await execute_as_superuser(isolated_env, UNREADABLE, unreadable.id)
    await delete_all_histories(unreadable)
    await replace_workflow(isolated_env, strange, "NobodyRunsThis")
    await execute_as_superuser(
        isolated_env,
        "UPDATE subscriptions SET started_at = '20000-01-01' WHERE subscription_id = $1",
        dated.id,
    )
    stranger = await isolated_env.temporal.start_workflow(
        "NobodyRunsThis", id=unique_name("stranger"), task_queue=isolated_env.task_queue
    )
    for number in range(2):
        victim = (lost, last)[number]
        await victim.handle.terminate(reason="by an operator's mistake")
        found_codes = await codes(isolated_env)
        assert found_codes.pop(victim.id) == [("WORKFLOW_MISSING", True)]
        assert found_codes.pop(unreadable.id) == [("UNREADABLE", False), ("WORKFLOW_MISSING", False)]
        assert found_codes.pop(strange.id) == [("WORKFLOW_STUCK", False)]
        assert found_codes.pop(dated.id) == [("UNREADABLE", False)]
        assert found_codes.pop(None) == [("UNKNOWN_WORKFLOW", False)] * len([strange, stranger])
        assert found_codes == {}
    assert await well.events() == ["TRIAL_STARTED"]


async def test_harmless_reset_is_reported(isolated_env: ServiceEnv) -> None:
    subscription = await isolated_env.paid("2026-01-10 09:00")
    await subscription.advance_to("2026-04-01 00:00")
    await reset(subscription, await first_task(subscription))
    await subscription.advance_to("2026-05-01 00:00")
    for _ in range(2):
        assert await codes(isolated_env) == {subscription.id: [("WORKFLOW_RESET", True)]}


async def test_unreadable_row_does_not_stop_other_notices(stack: EmbeddedStack, temporal: Client) -> None:
    async with open_service_env(stack, temporal, works=False) as service_env, service_env.worker():
        bad, *others = sorted(
            await gather_all(trial(service_env) for _ in range(3)), key=lambda subscription: subscription.id
        )
        await execute_as_superuser(service_env, UNREADABLE, bad.id)
        for queued in (2, 0):
            report = await run_notices_job(service_env)
            assert (report["queued"], report["failed"]) == (queued, 1)
            assert report["failures"] == [{"member": bad.id, "error": "ValidationError"}]
            assert f"1 failed: {bad.id} (ValidationError)." in report["summary"]
        assert [len(await outbox(service_env, subscription)) for subscription in (bad, *others)] == [0, 1, 1]


async def test_failing_notice_does_not_stop_other_emails(stack: EmbeddedStack, temporal: Client) -> None:
    async with open_service_env(stack, temporal, works=False) as service_env:
        async with service_env.worker():
            bad, *others = sorted(
                await gather_all(trial(service_env) for _ in range(3)),
                key=lambda subscription: subscription.id,
            )
            assert (await run_notices_job(service_env))["queued"] == 3
        await execute_as_superuser(service_env, UNREADABLE, bad.id)
        async with SmtpServer() as smtp_server, service_env.worker(mail_server=smtp_server.mail_server()):
            # The second pass skips it for an hour.
            for sent in (2, 0):
                report = await run_notices_job(service_env, server=smtp_server)
                assert (report["sent"], report["waiting"], report["failed"]) == (sent, 1, 1)
                assert {failure["member"] for failure in report["failures"]} == {bad.id}
        assert [await states_of(service_env, subscription) for subscription in (bad, *others)] == [
            ["WAITING"],
            ["SENT"],
            ["SENT"],
        ]
        [waits] = await service_env.client.notices(subscription_id=bad.id)
        assert waits.last_error == "unexpected error (ValidationError)"


async def states_of(service_env: ServiceEnv, subscription: SubscriptionDriver) -> list[str]:
    return [state.value for *_, state in await outbox(service_env, subscription)]


async def test_server_statement_timeout_precedes_client_timeout(isolated_env: ServiceEnv) -> None:
    async with create_pool(isolated_env.worker_url, "worksub_worker", connections=1) as pool:
        seconds = "SELECT extract(epoch FROM current_setting('statement_timeout')::interval)"
        assert await pool.fetchval(seconds) < _COMMAND_SECONDS
    assert not concerns_all(asyncpg.QueryCanceledError("a lock"))


async def test_amount_beyond_64_bits_does_not_stop_other_invoices(
    isolated_env: ServiceEnv,
) -> None:
    bad = await upgraded_in_march(isolated_env, customer_id="C-1")
    good = await upgraded_in_march(isolated_env, customer_id="C-2")
    await execute_as_superuser(
        isolated_env,
        """
        UPDATE lifecycle_events
           SET detail = jsonb_set(detail::jsonb, '{posted,0,amount}', '9223372036854775807')
         WHERE subscription_id = $1 AND event = 'SERVICE_FEES_POSTED'
        """,
        bad.id,
    )
    for issued in (1, 0):
        report = await closed(isolated_env)
        assert (report["issued"], report["failed"]) == (issued, 1)
        [failure] = report["failures"]
        assert failure["member"] == "C-1"
    [invoice] = await isolated_env.client.invoices(month=date(2026, 3, 1))
    assert (invoice.customer_id, invoice.number[4:]) == ("C-2", "-000001")
    assert {each.subscription_id for each in invoice.subscriptions} == {good.id}


async def test_purge_continues_after_a_failing_table(isolated_env: ServiceEnv) -> None:
    left = await create_orphaned_history(
        isolated_env, f"subscription-{unique_name('refused')}", isolated_env.request_body()
    )
    await isolated_env.owner.execute("REVOKE DELETE ON reconciliations FROM worksub_worker")
    for histories in (1, 0):
        report = await purged(isolated_env)
        assert (report["histories"], report["failed"]) == (histories, 1)
        assert report["failures"] == [{"member": "reconciliations", "error": "InsufficientPrivilegeError"}]
    assert left


async def test_unreadable_invoice_hides_no_other(isolated_env: ServiceEnv) -> None:
    await gather_all(upgraded_in_march(isolated_env, customer_id=f"C-{number}") for number in range(3))
    await closed(isolated_env)
    first, second, third = [invoice.number for invoice in await isolated_env.client.invoices()]
    await execute_as_superuser(isolated_env, "UPDATE invoices SET document = '[1]' WHERE number = $1", first)
    await execute_as_superuser(
        isolated_env,
        "UPDATE invoices SET document = jsonb_set(document, '{vat_percent}', '1e300') WHERE number = $1",
        second,
    )
    await execute_as_superuser(isolated_env, "DELETE FROM invoice_entries WHERE number = $1", third)
    await execute_as_superuser(
        isolated_env,
        """
        INSERT INTO invoices (number, customer_id, month, issued_on, supply, vat, total, document)
        VALUES ('by hand', 'C-9', '2026-03-01', '2026-04-03', 1, 0, 1, '{}')
        """,
    )
    for _ in range(2):
        findings = await found(isolated_env)
        assert {finding.code for finding in findings} == {"INVOICE_DIFFERS"}
        named_invoices = {finding.message.split(":")[0] for finding in findings}
        assert named_invoices == {f"Invoice {each}" for each in (first, second, third, "by hand")}


async def failing(error: Exception) -> None:
    await asyncio.sleep(0)
    raise error


OF_ONE = [
    ValueError("x"),
    asyncpg.DataError("beyond 64 bits"),
    asyncpg.CharacterNotInRepertoireError("NUL"),
    asyncpg.QueryCanceledError("too slow"),
    *(
        RPCError("", status, b"")
        for status in RPCStatusCode
        if status.name not in ("UNAVAILABLE", "UNAUTHENTICATED", "PERMISSION_DENIED", "OK")
    ),
    RPCError("workflow update was aborted", RPCStatusCode.UNAVAILABLE, b""),
]
OF_ALL = [
    ConnectionRefusedError(),
    TimeoutError(),
    asyncpg.InterfaceError("pool is closed"),
    asyncpg.AdminShutdownError("going down"),
    asyncpg.ReadOnlySQLTransactionError("standby"),
    asyncpg.DiskFullError("no space"),
    *(
        RPCError("", status, b"")
        for status in (
            RPCStatusCode.UNAVAILABLE,
            RPCStatusCode.UNAUTHENTICATED,
            RPCStatusCode.PERMISSION_DENIED,
        )
    ),
]


@pytest.mark.parametrize("error", OF_ONE, ids=repr)
async def test_error_of_one_item_is_recorded_with_it(error: Exception) -> None:
    batch = Batch("test")
    await batch.run_member("one", failing(error))
    assert batch.failures == [MemberFailure(member="one", error=type(error).__name__)]


@pytest.mark.parametrize("error", OF_ALL, ids=repr)
async def test_error_of_all_items_is_raised(error: Exception) -> None:
    batch = Batch("test")
    with pytest.raises(type(error)):
        await batch.run_member("one", failing(error))
    assert concerns_all(error)
    assert batch.failures == []


def test_report_lists_hundred_failures_and_the_total() -> None:
    failures: list[Any] = [MemberFailure(member=f"s-{number}", error="ValueError") for number in range(250)]
    assert len(first_failures(failures)) == 100
    words = failures_message(250, failures)
    assert words.startswith(" 250 failed: s-0 (ValueError), s-1 (ValueError)")
    assert words.endswith("and 245 more.")
    assert failures_message(0, ()) == ""
