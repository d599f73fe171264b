"""The job `purge`: orphaned histories and data past its retention are deleted, and nothing else."""

from datetime import timedelta
from typing import Any

import pytest
from support.corruption import delete_rows, stored_rows
from support.data_search import found_in_workflow, is_deleted_from_workflow
from support.orphaned_histories import create_orphaned_history
from support.polling import gather_all
from support.reconcile_job import reconciled
from support.service_env import ServiceEnv, unique_name
from support.subscription_driver import SubscriptionDriver
from temporalio.client import WorkflowFailureError
from temporalio.testing import ActivityEnvironment

from activities.retention import RETENTIONS, RetentionActivities
from subscription.refusals import RefusalCode
from subscription.retention import PurgeRowsInput, PurgeRowsResult
from subscription.state import State


async def purged(service_env: ServiceEnv, argument: Any = None) -> dict[str, Any]:
    report: dict[str, Any] = await service_env.temporal.execute_workflow(
        "PurgeWorkflow",
        argument or {"grace_minutes": 0},
        id=unique_name("purge"),
        task_queue=service_env.task_queue,
    )
    return report


async def erased_subscription(service_env: ServiceEnv) -> SubscriptionDriver:
    subscription = await service_env.paid("2026-01-10 09:00")
    await subscription.cancel_and_wait("2026-03-01 09:00")
    return subscription


async def test_r31_purge_deletes_only_orphaned_histories(
    isolated_env: ServiceEnv,
) -> None:
    """The histories that erased and refused subscriptions left behind are deleted, and no others."""
    living, erased = await gather_all(
        [isolated_env.paid("2026-01-10 09:00"), erased_subscription(isolated_env)]
    )
    request = isolated_env.request_body(company_name=unique_name("Hanyang"))
    left = await create_orphaned_history(isolated_env, erased.workflow_id, request)
    refused = await create_orphaned_history(isolated_env, f"subscription-{unique_name('refused')}", request)
    values = [request["company_name"]]
    for workflow_id in (left, refused):
        assert await found_in_workflow(isolated_env.temporal, workflow_id, values)
    before, runs = (
        [await stored_rows(isolated_env, subscription) for subscription in (living, erased)],
        await living.run_ids(),
    )

    report = await purged(isolated_env)

    assert report["summary"] == "Deleted: 2 histories."
    for workflow_id in (left, refused):
        await is_deleted_from_workflow(isolated_env.temporal, workflow_id, values)
    assert [await stored_rows(isolated_env, subscription) for subscription in (living, erased)] == before
    assert await living.run_ids() == runs
    assert (await erased.status()).state is State.ERASED
    assert (await purged(isolated_env))["summary"] == "Nothing was past its retention."


async def test_purge_skips_recently_closed_workflows(isolated_env: ServiceEnv) -> None:
    left = await create_orphaned_history(
        isolated_env, f"subscription-{unique_name('refused')}", isolated_env.request_body()
    )
    assert (await purged(isolated_env, {"grace_minutes": 10}))["histories"] == 0
    assert await found_in_workflow(isolated_env.temporal, left, ["Acme Korea"])


async def test_purge_keeps_possibly_last_copy_of_subscription(
    isolated_env: ServiceEnv,
) -> None:
    running, lost = await gather_all(isolated_env.paid("2026-01-10 09:00") for _ in range(2))
    runs = [await subscription.has_run(2) for subscription in (running, lost)]
    for subscription in (running, lost):
        await delete_rows(isolated_env, subscription)
    await lost.handle.terminate(reason="by an operator's mistake")
    assert (await purged(isolated_env))["histories"] == 0
    assert [await subscription.run_ids() for subscription in (running, lost)] == runs


async def test_purge_keeps_reports_for_92_days(isolated_env: ServiceEnv) -> None:
    [retention] = [each for each in RETENTIONS if each.table == "reconciliations"]
    assert retention.kept == timedelta(days=92)
    await isolated_env.requested()
    runs = []
    for _ in range(2):
        await isolated_env.owner.execute("DELETE FROM companies")
        runs.append((await reconciled(isolated_env))["run"])
    old, recent = runs
    for run, age in ((old, timedelta(days=93)), (recent, timedelta(days=91))):
        await isolated_env.owner.execute(
            "UPDATE reconciliations SET started_at = clock_timestamp() - $2::interval WHERE run = $1",
            run,
            age,
        )

    report = await purged(isolated_env)

    assert (report["summary"], report["rows"]["reconciliations"]) == ("Deleted: 1 of reconciliations.", 1)
    assert [row["run"] for row in await isolated_env.owner.fetch("SELECT run FROM reconciliations")] == [
        recent
    ]
    findings = await isolated_env.owner.fetch("SELECT run FROM reconciliation_findings")
    assert [row["run"] for row in findings] == [recent]


async def test_purge_deletes_every_row_past_its_retention(service_env: ServiceEnv) -> None:
    """More rows than one batch of 100 are deleted; a key of 30 days must still be known (R22)."""
    caller = unique_name("caller")
    for key, rows, age in (("old", 201, timedelta(days=32)), ("recent", 2, timedelta(days=30))):
        await service_env.owner.execute(
            """
            INSERT INTO api_writes (caller, key, fingerprint, written_at)
            SELECT $1, $2 || number, '', clock_timestamp() - $4::interval
              FROM generate_series(1, $3) AS number
            """,
            caller,
            key,
            rows,
            age,
        )
    activities = RetentionActivities(service_env.pool, service_env.temporal)

    purge: PurgeRowsResult = await ActivityEnvironment().run(activities.purge_rows, PurgeRowsInput())

    assert (purge.rows["api_writes"], purge.failed) == (201, ())
    left = await service_env.owner.fetch("SELECT key FROM api_writes WHERE caller = $1", caller)
    assert sorted(row["key"] for row in left) == ["recent1", "recent2"]


async def test_purge_with_invalid_input_reports_it(service_env: ServiceEnv) -> None:
    for argument in ({"grace_minutes": -1}, {"days": 5}, "now"):
        with pytest.raises(WorkflowFailureError) as failure:
            await purged(service_env, argument)
        assert getattr(failure.value.cause, "type", None) == RefusalCode.INVALID_ARGUMENT


async def test_purge_deletes_emails_before_notices(
    isolated_env: ServiceEnv,
) -> None:
    """Notices that can become due again are kept."""
    subscription = await isolated_env.requested(account={"domain": f"{unique_name('letters')}.example"})
    settled = {"TRIAL_ENDING": (89, 91, 401), "DOMAIN_UNVERIFIED": (401,)}
    for kind, ages in settled.items():
        for number, age in enumerate(ages):
            await isolated_env.owner.execute(
                """
                WITH notice AS (
                    INSERT INTO notices (subscription_id, customer_id, kind, event_date, threshold_days,
                                         state, completed_at)
                    VALUES ($1, 'C-1', $2, '2026-01-01', $3, 'SENT', clock_timestamp() - $4::interval)
                    RETURNING number, subscription_id)
                INSERT INTO notice_emails (number, subscription_id, recipient, subject, body, html)
                SELECT number, subscription_id, 'admin@acme.example', '', '', '' FROM notice
                """,
                subscription.id,
                kind,
                number,
                timedelta(days=age),
            )

    rows = (await purged(isolated_env))["rows"]

    # Of four emails, three are older than 90 days; of two notices older than 400 days, one may be due again.
    assert (rows["notice_emails"], rows["notices"]) == (3, 1)
    left = await isolated_env.owner.fetch(
        "SELECT kind, threshold_days FROM notices WHERE sequence = 0 ORDER BY 1, 2"
    )
    assert [tuple(row) for row in left] == [
        ("DOMAIN_UNVERIFIED", 0),
        ("TRIAL_ENDING", 0),
        ("TRIAL_ENDING", 1),
    ]


async def test_history_with_unstorable_id_is_deleted(
    isolated_env: ServiceEnv,
) -> None:
    """A workflow ID that PostgreSQL cannot store stops no scheduled job."""
    await create_orphaned_history(isolated_env, "subscription-a\0b", isolated_env.request_body())
    assert (await reconciled(isolated_env))["found"] == 0
    assert (await purged(isolated_env))["histories"] == 1
