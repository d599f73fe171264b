"""The recovery recipes of docs/operations.md work as documented."""

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from integration.worker.test_temporal_tools import first_task, reset
from support.database_pool import create_database
from support.namespaces import new_namespace
from support.polling import wait_for
from support.service_env import ServiceEnv, catalogue, open_service_env, unique_name
from support.shell_recipes import RECIPES, RECOVERY, Shell, commands_of, has_failed, paid, recipe, recipes
from support.subscription_driver import SubscriptionDriver
from temporalio import workflow
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from adapters.temporal.client import TASK_QUEUE
from adapters.temporal.data_converter import data_converter
from adapters.temporal.rpc_errors import Outcome, outcome_of
from adapters.temporal.search_attributes import register_search_attributes
from dev_stack.postgres_server import OWNER
from starter.setup import set_up

DENIED = "permission denied for table lifecycle_events"


@recipe("Deadlines are not processed")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    doctor, queue, counted = await shell.types(blocks[0], {})
    assert "A worker polls task queue subscriptions." in doctor
    assert "workflow" in queue
    assert counted.startswith("Total: ")


@recipe("An activity keeps failing")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await shell.service_env.requested()
    [describe], [try_now, timeline] = blocks
    await shell.service_env.owner.execute("REVOKE INSERT ON lifecycle_events FROM worksub_worker")
    try:
        await subscription.handle.signal("rename_account", {"group": unique_name("stuck")})

        await has_failed(subscription, DENIED)
        [printed] = await shell.types([describe], {"ID": subscription.id})
        assert DENIED in printed
        pending = re.search(r"ActivityId\s+(\S+)", printed)
        assert pending is not None
        # Before the cause is removed: afterwards the activity's own retry could succeed first.
        await shell.types(
            [try_now.replace("--activity-id 1", f"--activity-id {pending[1]}")], {"ID": subscription.id}
        )
    finally:
        await shell.service_env.owner.execute("GRANT INSERT ON lifecycle_events TO worksub_worker")
    await subscription.client.settle(subscription.id)
    assert "ACCOUNT_RENAMED" in (await shell.types([timeline], {"ID": subscription.id}))[0]


@recipe("A charge was wrong")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    subscription = await paid(shell)
    started = (await subscription.status()).started_at
    assert started is not None
    await subscription.advance_clock_to(started + timedelta(days=65))
    whole_month = (await subscription.ledger())[1]
    real = {"ID": subscription.id, "2027-03-15": f"{whole_month.first_day}"}
    _, explained, adjusted, after = await shell.types(blocks[0], real)
    assert "R21" in explained
    assert "is corrected by -9,483 KRW" in adjusted
    assert "T-4711" in after
    assert (await shell.types(blocks[0][2:3], real))[0] == adjusted


REPORTED_AFTER = "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute"
TASK_TIMEOUT = "history.defaultWorkflowTaskTimeout"


@workflow.defn(name="SubscriptionWorkflow")
class _AnotherRelease:
    """A workflow whose first task differs from every release, so that replay fails."""

    @workflow.run
    async def run(self) -> None:
        await workflow.sleep(timedelta(days=1))


def worker_of_another_release(service_env: ServiceEnv) -> Worker:
    return Worker(
        service_env.temporal,
        task_queue=service_env.task_queue,
        workflows=[_AnotherRelease],
        workflow_runner=UnsandboxedWorkflowRunner(),
        build_id="another",
    )


async def has_failed_repeatedly(subscription: SubscriptionDriver) -> bool:
    """Return whether the workflow task is in its third attempt: Temporal then rejects commands at once."""
    return (await subscription.handle.describe()).raw_description.pending_workflow_task.attempt >= 3


@recipe("A worker does not replay")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    """Run on a separate server.

    It reports a workflow task failure at the first attempt, not the fifth. A workflow task of a stopped
    worker times out after a second, not ten.
    """
    [[listed, shown]] = blocks
    async with (
        await WorkflowEnvironment.start_local(
            data_converter=data_converter(),
            dev_server_existing_path=str(Path(sys.executable).with_name("temporal")),
            dev_server_extra_args=[
                *("--dynamic-config-value", f"{REPORTED_AFTER}=1"),
                *("--dynamic-config-value", f'{TASK_TIMEOUT}="1s"'),
            ],
        ) as server,
        open_service_env(
            shell.stack, server.client, works=False, database_url=shell.service_env.database_url
        ) as service_env,
    ):
        await register_search_attributes(server.client)
        shell = Shell(shell.stack, service_env, shell.directory)
        async with service_env.worker():
            subscription = await paid(shell)
            await subscription.has_run(2)
            await subscription.send("change_renewal_option", term="ANNUAL")
            await subscription.is_at_rest_in_run(2)

        async def are_reported(number: int) -> bool:
            [query] = re.findall(r"--query '(.+)'", listed)
            return (await server.client.count_workflows(query)).count == number

        async with worker_of_another_release(service_env):
            await subscription.handle.signal("check_domain", {})
            await wait_for("the problem is reported", partial(are_reported, 1))
            assert subscription.workflow_id in (await shell.types([listed], {}))[0]
            assert "WorkflowTaskFailed" in (await shell.types([shown], {"ID": subscription.id}))[0]
            await wait_for("commands are rejected", partial(has_failed_repeatedly, subscription))
            # For this outcome, `worksub` reports WORKFLOW_STUCK, after retries that take seconds.
            with pytest.raises(RPCError) as rejected:
                await subscription.handle.execute_update("withdraw_reservation", {})
            assert outcome_of(rejected.value) is Outcome.RETRY
        async with service_env.worker():
            await wait_for("the list is empty", partial(are_reported, 0))
            assert subscription.workflow_id not in (await shell.types([listed], {}))[0]
            await subscription.send("upgrade", members=20)


# -- after a disaster --------------------------------------------------------------------------------


async def new_database(shell: Shell, temporal: Client) -> str:
    """Create a database, set up the namespace for it, and return its name."""
    name = unique_name("site").replace("-", "_")
    await set_up(temporal, await shell.stack.postgres.ensure_database(name), catalogue())
    return name


@asynccontextmanager
async def run_site(shell: Shell, temporal: Client, new_database: str) -> AsyncIterator[Shell]:
    """Return a shell for a service on this namespace and database."""
    url = shell.stack.postgres.dsn(new_database, OWNER)
    async with open_service_env(
        shell.stack, temporal, database_url=url, task_queue=TASK_QUEUE
    ) as service_env:
        yield Shell(shell.stack, service_env, shell.directory)


def driver_in(subscription: SubscriptionDriver, service_env: ServiceEnv) -> SubscriptionDriver:
    """Return the same subscription in another service environment."""
    return SubscriptionDriver(service_env.client, service_env.temporal, subscription.id, subscription.request)


@recipe("The Temporal namespace is lost")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    lost = await new_namespace(shell.service_env.temporal)
    record = await new_database(shell, lost)
    async with run_site(shell, lost, record) as before:
        subscription = await paid(before)
        events = await subscription.events()
    async with run_site(shell, await new_namespace(shell.service_env.temporal), record) as moved:
        _, output, found, _, listed = await moved.types(blocks[0], {})
        assert "1 repaired" in output
        assert "WORKFLOW_MISSING" in found
        assert subscription.id in listed
        again = driver_in(subscription, moved.service_env)
        assert await again.events() == events
        await again.send("upgrade", members=20)


@recipe("The database was restored from yesterday's backup")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    temporal = await new_namespace(shell.service_env.temporal)
    today = await new_database(shell, temporal)
    async with run_site(shell, temporal, today) as before:
        subscription = await paid(before)
        await subscription.is_at_rest_in_run(2)
    yesterday = f"{today}_yesterday"
    await create_database(shell.stack, yesterday, template=today)
    async with run_site(shell, temporal, today) as before:
        busy = driver_in(subscription, before.service_env)
        await busy.send("upgrade", members=20)
        events = await busy.events()
    async with run_site(shell, temporal, yesterday) as restored:
        output, found, attention, timeline = await restored.types(blocks[0], {"ID": subscription.id})
        assert "1 repaired" in output
        assert "EVENT_MISSING" in found
        assert "No subscriptions found." in attention
        assert "UPGRADED" in timeline
        assert await driver_in(subscription, restored.service_env).events() == events


@recipe("Temporal was restored from yesterday's backup")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    temporal = await new_namespace(shell.service_env.temporal)
    async with run_site(shell, temporal, await new_database(shell, temporal)) as here:
        subscription = await paid(here)
        await subscription.send("upgrade", members=20)
        events = await subscription.events()
        await reset(subscription, await first_task(subscription), again=False)
        output, found, timeline = await here.types(blocks[0], {"ID": subscription.id})
        assert "1 repaired" in output
        assert "WORKFLOW_BEHIND" in found
        assert "UPGRADED" in timeline
        assert await subscription.events() == events
        await subscription.send("upgrade", members=30)


@pytest.mark.parametrize("heading", recipes(*RECOVERY))
async def test_recipe_works_as_documented(shell: Shell, heading: str) -> None:
    await RECIPES[heading](shell, commands_of(heading))
