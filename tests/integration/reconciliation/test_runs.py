"""Runs of the job `reconcile`: pages, interruption and resumption, and the final report."""

import asyncio
import dataclasses

import pytest
from support.corruption import execute_as_superuser
from support.polling import gather_all, wait_for
from support.reconcile_job import found, reconciled
from support.service_env import ServiceEnv, open_service_env, unique_name
from support.subscription_driver import SubscriptionDriver
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowFailureError
from temporalio.testing import ActivityEnvironment

from activities.reconciliation.activities import ReconciliationActivities
from activities.reconciliation.record_snapshot import page_of_ids
from adapters.postgres.workspace_provisioner import PostgresWorkspaceProvisioner
from dev_stack.stack import EmbeddedStack
from subscription.reconciliation import ReconcilePage
from subscription.refusals import RefusalCode, RefusalError


async def test_another_worker_finishes_interrupted_run(
    stack: EmbeddedStack, temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.reconciliation.activities._PAGE_SIZE", 5)
    async with open_service_env(stack, temporal, works=False) as service_env:
        async with service_env.worker():
            subscriptions = sorted(
                await gather_all(service_env.requested() for _ in range(8)),
                key=lambda subscription: subscription.id,
            )
            # The second page cannot finish: one subscription cannot be checked.
            lost = (subscriptions[3], subscriptions[5], subscriptions[7])
            await gather_all(
                subscription.handle.terminate(reason="by an operator's mistake") for subscription in lost
            )
        await service_env.owner.execute(
            f"""
            CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'broken off' USING ERRCODE = 'admin_shutdown'; END $$;
            CREATE TRIGGER break_off BEFORE INSERT ON reconciliation_findings
                FOR EACH ROW WHEN (NEW.subscription_id = '{subscriptions[5].id}')
                EXECUTE FUNCTION break_off();
            """
        )
        first = asyncio.create_task(service_env.worker().run())
        running = asyncio.create_task(reconciled(service_env))
        await wait_for(
            "the others are said", lambda: are_reported(service_env, subscriptions[3], subscriptions[7])
        )
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
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


async def are_reported(service_env: ServiceEnv, *subscriptions: SubscriptionDriver) -> bool:
    finding_rows = await service_env.owner.fetch("SELECT subscription_id FROM reconciliation_findings")
    return {row["subscription_id"] for row in finding_rows} == {
        subscription.id for subscription in subscriptions
    }


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


async def test_page_heartbeats_and_repeats_no_finding(
    isolated_env: ServiceEnv,
) -> None:
    """A page that is repeated after a failure reports no finding twice."""
    subscriptions = await gather_all(isolated_env.requested() for _ in range(3))
    await subscriptions[0].handle.terminate(reason="by an operator's mistake")
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, task_queue=isolated_env.task_queue)
    heartbeats: list[object] = []
    environment.on_heartbeat = lambda *details: heartbeats.append(details)
    activities = ReconciliationActivities(
        isolated_env.pool,
        isolated_env.temporal,
        PostgresWorkspaceProvisioner(isolated_env.pool),
        isolated_env.signer,
    )
    page = ReconcilePage(run="by-hand", grace_minutes=0)

    first = await environment.run(activities.reconcile_record, page)
    again = await environment.run(activities.reconcile_record, page)

    assert (first.checked, first.found, first.next_after) == (3, 1, None)
    assert (again.checked, again.found) == (3, 0)
    assert len(heartbeats) >= 6
    [finding] = await isolated_env.client.findings("by-hand")
    assert (finding.subscription_id, finding.repaired) == (subscriptions[0].id, True)


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
                           jsonb_build_object('state', 'ERASED') AS erased,
                           jsonb_populate_record(kept, its || erased) AS copied
                     WHERE kept.subscription_id = $1 RETURNING subscription_id
                )
                INSERT INTO erasure_certificates
                SELECT subscription_id, part, now(), '{}', now() - make_interval(days => $3)
                  FROM erased, unnest($4::text::text[]) AS part
                """,
                *(subscription.id, number, days, certified),
            )
        page = await page_of_ids(service_env.pool, "", 1000)
        turn, uncertified, lately = [sum(name.startswith(f"{n}-") for name in page) for n in range(3)]
        # About ten of the 280 are checked in each of the 28 nights.
        assert 0 < turn < 40
        assert uncertified == lately == 280
        assert subscription.id in page
