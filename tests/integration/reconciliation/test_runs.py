"""Runs of the job `reconcile`: pages, interruption and resumption, and the final report."""

import asyncio
import dataclasses
from typing import Any

import pytest
from support.corruption import execute_as_superuser
from support.polling import gather_all, wait_for
from support.reconcile_job import found, reconciled
from support.service_env import ServiceEnv, open_service_env, unique_name
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.testing import ActivityEnvironment

from activities.reconciliation.activities import ReconciliationActivities
from activities.reconciliation.record_page import page_of_ids
from activities.reconciliation.scope import Scope
from adapters.postgres.workspace_provisioner import PostgresWorkspaceProvisioner
from dev_stack.stack import EmbeddedStack
from subscription.reconciliation import ReconcilePage
from subscription.refusals import RefusalCode, RefusalError


async def test_another_worker_finishes_interrupted_run(
    stack: EmbeddedStack, temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.reconciliation.record_page._PAGE_SIZE", 5)
    # One after another, because a failed check cancels those that run at the same time.
    monkeypatch.setattr("activities.reconciliation.context._MAX_CONCURRENT_CHECKS", 1)
    async with open_service_env(stack, temporal, works=False) as service_env:
        async with service_env.worker():
            subscriptions = sorted(
                await gather_all(service_env.requested() for _ in range(8)),
                key=lambda subscription: subscription.id,
            )
            # The second page cannot finish: its last subscription cannot be checked.
            lost = (subscriptions[3], subscriptions[5], subscriptions[7])
            await gather_all(
                subscription.handle.terminate(reason="by an operator's mistake") for subscription in lost
            )
            await gather_all(subscription.is_at_rest_in_run(1) for subscription in subscriptions)
        await service_env.owner.execute(
            f"""
            CREATE SEQUENCE failures;
            CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
            $$ BEGIN
                PERFORM nextval('failures');
                RAISE EXCEPTION 'broken off' USING ERRCODE = 'admin_shutdown';
            END $$;
            CREATE TRIGGER break_off BEFORE INSERT ON reconciliation_findings
                FOR EACH ROW WHEN (NEW.subscription_id = '{subscriptions[7].id}')
                EXECUTE FUNCTION break_off();
            """
        )
        async with service_env.worker():
            running = asyncio.create_task(reconciled(service_env))
            # Stopped earlier, the worker would wait for a workflow that it no longer runs.
            await wait_for("the second page has failed", lambda: has_failed(service_env))
        assert await reported(service_env) == {subscriptions[3].id, subscriptions[5].id}
        await service_env.owner.execute("DROP TRIGGER break_off ON reconciliation_findings")
        async with service_env.worker():
            report = await running
            findings = await service_env.client.findings(report["run"])
            assert [finding.subscription_id for finding in findings] == sorted(
                subscription.id for subscription in lost
            )
            assert {(finding.code, finding.repaired) for finding in findings} == {("WORKFLOW_MISSING", True)}
            assert report["summary"] == "8 subscriptions checked, 3 findings: 3 repaired, 0 open."
            assert report["by_code"] == {"WORKFLOW_MISSING": 3}
            assert await found(service_env) == []


async def has_failed(service_env: ServiceEnv) -> bool:
    return bool(await service_env.owner.fetchval("SELECT is_called FROM failures"))


async def reported(service_env: ServiceEnv) -> set[str]:
    rows = await service_env.owner.fetch("SELECT subscription_id FROM reconciliation_findings")
    return {row["subscription_id"] for row in rows}


async def test_run_report_is_in_database_and_web_ui(isolated_env: ServiceEnv) -> None:
    with pytest.raises(RefusalError) as none_yet:
        await isolated_env.client.reconciliation()
    assert none_yet.value.refused.code is RefusalCode.RECONCILIATION_NOT_FOUND
    subscription = await isolated_env.requested()
    await execute_as_superuser(isolated_env, "UPDATE lifecycle_events SET event = 'UPGRADED'")
    await execute_as_superuser(isolated_env, "DELETE FROM account_names")

    handle = await isolated_env.temporal.start_workflow(
        "ReconcileWorkflow", id=unique_name("reconcile"), task_queue=isolated_env.task_queue
    )
    report = await handle.result()

    summary = "1 subscription checked, 2 findings: 1 repaired, 1 open."
    metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    assert metadata.current_details == f"{summary}\n- **EVENT_DIFFERS**: 1\n- **NAME_DIFFERS**: 1"
    assert report == {
        "summary": summary,
        "run": handle.result_run_id,
        "checked": 1,
        "queried": 1,
        "found": 2,
        "repaired": 1,
        "by_code": {"EVENT_DIFFERS": 1, "NAME_DIFFERS": 1},
    }
    recorded = await isolated_env.client.reconciliation()
    assert (recorded.run, recorded.checked, recorded.found, recorded.repaired) == (report["run"], 1, 2, 1)
    assert recorded.finished_at is not None
    findings = await isolated_env.client.findings(report["run"])
    assert [(finding.code, finding.subscription_id) for finding in findings] == [
        ("EVENT_DIFFERS", subscription.id),
        ("NAME_DIFFERS", subscription.id),
    ]
    assert await isolated_env.client.findings(report["run"], limit=1) == findings[:1]
    with pytest.raises(RefusalError):
        await isolated_env.client.reconciliation("no-such-run")


async def test_run_with_invalid_input_reports_it(isolated_env: ServiceEnv) -> None:
    for argument in ({"grace_minutes": -1}, {"grace": 5}, {"step": "LUNCH"}, "now"):
        with pytest.raises(WorkflowFailureError) as failure:
            await isolated_env.temporal.execute_workflow(
                "ReconcileWorkflow", argument, id=unique_name("reconcile"), task_queue=isolated_env.task_queue
            )
        assert getattr(failure.value.cause, "type", None) == RefusalCode.INVALID_ARGUMENT


async def test_page_resumes_from_heartbeat(isolated_env: ServiceEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt after a killed worker checks the rest of the page, and repeats no finding."""
    monkeypatch.setattr("activities.reconciliation.record_page._SLICE_SIZE", 1)
    subscriptions = sorted(
        await gather_all(isolated_env.requested() for _ in range(3)), key=lambda subscription: subscription.id
    )
    for subscription in subscriptions:
        await subscription.handle.terminate(reason="by an operator's mistake")
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, task_queue=isolated_env.task_queue)
    heartbeats: list[Any] = []
    environment.on_heartbeat = lambda *details: heartbeats.extend(details)
    activities = ReconciliationActivities(
        isolated_env.pool,
        isolated_env.temporal,
        PostgresWorkspaceProvisioner(isolated_env.pool),
        isolated_env.signer,
    )
    page = ReconcilePage(run="by-hand", grace_minutes=0)

    first = await environment.run(activities.reconcile_record, page)

    assert (first.checked, first.found, first.next_after) == (3, 3, None)
    progress = [(each.after, each.checked, each.found) for each in heartbeats]
    assert progress == [(subscription.id, n, n) for n, subscription in enumerate(subscriptions, start=1)]
    for subscription in subscriptions:
        await subscription.handle.terminate(reason="by an operator's mistake")
    details = await isolated_env.temporal.data_converter.encode([heartbeats[1]])
    decoded = await isolated_env.temporal.data_converter.decode(details)
    environment.info = dataclasses.replace(environment.info, heartbeat_details=decoded)

    resumed = await environment.run(activities.reconcile_record, page)

    assert (resumed.checked, resumed.found, resumed.queried) == (3, 3, 3)
    assert len(await isolated_env.client.findings("by-hand")) == 3
    statuses = [(await subscription.handle.describe()).status for subscription in subscriptions]
    assert [status is WorkflowExecutionStatus.RUNNING for status in statuses] == [False, False, True]


async def test_long_erased_subscription_is_checked_every_four_weeks(
    stack: EmbeddedStack, temporal: Client
) -> None:
    async with open_service_env(stack, temporal, works=False) as service_env:
        async with service_env.worker():
            subscription = await service_env.requested()
        for number, (days, certified) in enumerate(
            [(8, "{DATABASE,HISTORIES}"), (8, "{DATABASE}"), (6, "{DATABASE,HISTORIES}")]
        ):
            await execute_as_superuser(
                service_env,
                """
                WITH erased AS (
                    INSERT INTO subscriptions
                    SELECT copied.*
                      FROM subscriptions AS kept, generate_series(1, 280) AS each,
                           concat($2::int, '-', each) AS id,
                           jsonb_build_object('subscription_id', id, 'request_id', id) AS its,
                           jsonb_build_object(
                               'state', 'ERASED', 'sequence', 1, 'request_fingerprint', null) AS erased,
                           jsonb_populate_record(kept, its || erased) AS copied
                     WHERE kept.subscription_id = $1 RETURNING subscription_id
                ), events AS (
                    INSERT INTO lifecycle_events
                    SELECT copied.*
                      FROM erased, lifecycle_events AS kept,
                           jsonb_populate_record(
                               kept, jsonb_build_object('subscription_id', erased.subscription_id)) AS copied
                     WHERE kept.subscription_id = $1 AND kept.sequence = 1
                )
                INSERT INTO erasure_certificates
                SELECT subscription_id, part, now(), '{}', now() - make_interval(days => $3)
                  FROM erased, unnest($4::text::text[]) AS part
                """,
                *(subscription.id, number, days, certified),
            )
        nights = [
            await page_of_ids(service_env.pool, "", 1000, Scope(28, turn, share=1)) for turn in range(28)
        ]
        turns = [name for night in nights for name in night if name.startswith("0-")]
        assert len(turns) == len(set(turns)) == 280
        assert all(sum(name[:2] in ("1-", "2-") for name in night) == 560 for night in nights)
        assert all(subscription.id in night for night in nights)

        # Personal data and missing events are found in the same night.
        await execute_as_superuser(
            service_env,
            """
            WITH damage AS (DELETE FROM lifecycle_events WHERE subscription_id = '0-1')
            INSERT INTO companies VALUES ('0-2', 'Acme Korea', '+8225550199')
            """,
        )
        assert {"0-1", "0-2"} <= {*await page_of_ids(service_env.pool, "", 1000, Scope(10**6, 0, share=0))}
