"""The workflows that a run queries: their turn, changes, and all of them after a restore."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from support.corruption import Backup, execute_as_superuser, stored_rows
from support.polling import gather_all, wait_for
from support.reconcile_job import NEVER, codes_of_run, night_passed, reconciled, since_last_night
from support.service_env import ServiceEnv, open_service_env, unique_name
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client

from activities.reconciliation.record_page import page_of_ids
from activities.reconciliation.scope import Scope
from dev_stack.stack import EmbeddedStack


async def positions(service_env: ServiceEnv, nights: int) -> dict[str, int]:
    """Return the position of each subscription in the rotation."""
    rows = await service_env.owner.fetch(
        "SELECT subscription_id, abs(mod(hashtextextended(subscription_id, 0), $1)) FROM subscriptions",
        nights,
    )
    return dict(map(tuple, rows))


async def test_rotation_finds_what_only_queries_show(stack: EmbeddedStack, temporal: Client) -> None:
    """The administrator's ID is in no event and in no search attribute."""
    async with (
        open_service_env(stack, temporal, works=False) as service_env,
        service_env.worker(rotation_nights=3),
    ):
        subscriptions = await gather_all(service_env.requested() for _ in range(6))
        before = [await stored_rows(service_env, subscription) for subscription in subscriptions]
        await night_passed(service_env)
        await execute_as_superuser(
            service_env,
            """UPDATE subscriptions SET snapshot = jsonb_set(snapshot::jsonb, '{admin_id}', '"other"')""",
        )

        for night in range(3):
            assert await codes_of_run(service_env) == {
                subscription_id: [("ROW_DIFFERS", True)]
                for subscription_id, position in (await positions(service_env, 3)).items()
                if position == night
            }
            await since_last_night(service_env)
        assert [await stored_rows(service_env, subscription) for subscription in subscriptions] == before


async def test_run_unknown_to_a_server_queries_everything(stack: EmbeddedStack, temporal: Client) -> None:
    async with (
        open_service_env(stack, temporal, works=False) as service_env,
        service_env.worker(rotation_nights=NEVER),
    ):
        changed, *_ = await gather_all(service_env.requested() for _ in range(3))
        assert (await reconciled(service_env))["queried"] == 3
        await since_last_night(service_env)
        assert (await reconciled(service_env))["queried"] == 0
        assert (await reconciled(service_env, query_all=True))["queried"] == 3
        forget: list[Callable[[ServiceEnv], Awaitable[None]]] = [
            postgres_forgets,
            temporal_forgets,
            another_database,
        ]
        for forgets in forget:
            await since_last_night(service_env)
            await forgets(service_env)
            assert (await reconciled(service_env))["queried"] == 3, forgets
        await since_last_night(service_env)
        await changed.send("rename_account", group=unique_name("renamed"))
        assert (await reconciled(service_env))["queried"] == 1


async def postgres_forgets(service_env: ServiceEnv) -> None:
    await service_env.owner.execute(
        "DELETE FROM reconciliations WHERE finished_at = (SELECT max(finished_at) FROM reconciliations)"
    )


async def temporal_forgets(service_env: ServiceEnv) -> None:
    finished_by = await service_env.owner.fetchval(
        "SELECT finished_by FROM reconciliations ORDER BY finished_at DESC LIMIT 1"
    )
    [run] = [run async for run in service_env.temporal.list_workflows(f"RunId = '{finished_by}'")]
    await service_env.temporal.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=service_env.temporal.namespace,
            workflow_execution=WorkflowExecution(workflow_id=run.id, run_id=run.run_id),
        )
    )

    async def is_forgotten() -> bool:
        return (await service_env.temporal.count_workflows(f"RunId = '{finished_by}'")).count == 0

    await wait_for("the run is gone", is_forgotten)


async def another_database(service_env: ServiceEnv) -> None:
    """Give the run the identity of the database before a restore."""
    await service_env.owner.execute("UPDATE reconciliations SET database = 'before the restore'")


async def test_restore_after_the_latest_run_is_seen_in_lists(stack: EmbeddedStack, temporal: Client) -> None:
    """Both servers know the latest run; the list shows another plan than the database."""
    async with (
        open_service_env(stack, temporal, works=False) as service_env,
        service_env.worker(rotation_nights=NEVER),
    ):
        subscription = await service_env.requested()
        await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="ANNUAL")
        await night_passed(service_env)
        backup = await Backup.of(service_env)
        await subscription.send("upgrade", plan="premium")
        before = await stored_rows(service_env, subscription)
        await backup.is_restored()

        assert await codes_of_run(service_env) == {subscription.id: [("EVENT_MISSING", True)]}

        assert await stored_rows(service_env, subscription) == before


async def test_first_night_of_a_release_queries_a_quarter(stack: EmbeddedStack, temporal: Client) -> None:
    async with (
        open_service_env(stack, temporal, works=False) as service_env,
        service_env.worker(rotation_nights=8),
    ):
        await gather_all(service_env.requested() for _ in range(6))
        await night_passed(service_env)
        await service_env.owner.execute("UPDATE reconciliations SET release = 'the one before'")
        position = (await positions(service_env, 8)).values()
        for turn in ([0, 1], [2], [3]):
            expected = sum(each in turn for each in position)
            assert (await reconciled(service_env))["queried"] == expected, turn
            await since_last_night(service_env)


async def test_service_fees_alone_are_no_change(isolated_env: ServiceEnv) -> None:
    """A workflow that lacks them posts them again, which changes nothing."""
    subscription = await isolated_env.paid("2026-01-10 09:00", term="ANNUAL")
    switched_at = await isolated_env.owner.fetchval("SELECT max(recorded_at) FROM lifecycle_events")
    await subscription.advance_to("2026-03-01 00:00")
    for since, is_change in ((switched_at, True), (switched_at + timedelta(microseconds=1), False)):
        scope = Scope(NEVER, turn=0, share=0, changed_since=since)
        assert await page_of_ids(isolated_env.pool, "", 1000, scope) == {subscription.id: is_change}
