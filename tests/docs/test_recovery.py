"""The recipes of docs/operations.md for the day when things go wrong do what they say."""

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from integration.worker.test_temporal_tools import first_task, reset
from support.namespaces import new_namespace
from support.polling import wait_for
from support.service_env import ServiceEnv, catalogue, create_database, open_service_env, unique_name
from support.shell_recipes import RECIPES, RECOVERY, Shell, commands_of, paid, recipe, recipes
from support.subscription_driver import SubscriptionDriver
from temporalio import workflow
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from adapters.temporal.client import TASK_QUEUE
from adapters.temporal.data_converter import data_converter
from adapters.temporal.search_attributes import register_search_attributes
from dev_stack.postgres_server import OWNER
from starter.setup import set_up


@recipe("Nothing moves")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    doctor, queue, counted = await shell.types(blocks[0], {})
    assert "One works on task queue subscriptions." in doctor
    assert "workflow" in queue
    assert counted.startswith("Total: ")


@recipe("An effect is stuck")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    life = await shell.house.requested()
    [describe], [try_now, timeline] = blocks
    await shell.house.owner.execute("REVOKE INSERT ON lifecycle_events FROM worksub_worker")
    try:
        await life.handle.signal("rename_account", {"group": unique_name("stuck")})

        async def failure() -> str:
            printed = (await shell.types([describe], {"ID": life.id}))[0]
            return printed if "permission denied for table lifecycle_events" in printed else ""

        printed = await wait_for("the pending activity says why it fails", failure)
        pending = re.search(r"ActivityId\s+(\S+)", printed)
        assert pending is not None
        # Before the cause is removed, for after that the activity may succeed by its own retry first.
        await shell.types(
            [try_now.replace("--activity-id 1", f"--activity-id {pending[1]}")], {"ID": life.id}
        )
    finally:
        await shell.house.owner.execute("GRANT INSERT ON lifecycle_events TO worksub_worker")
    await life.client.settle(life.id)
    assert "ACCOUNT_RENAMED" in (await shell.types([timeline], {"ID": life.id}))[0]


@recipe("A charge was wrong")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    life = await paid(shell)
    started = (await life.status()).started_at
    assert started is not None
    await life.sleeps_until(started + timedelta(days=65))
    whole_month = (await life.ledger())[1]
    real = {"ID": life.id, "2027-03-15": f"{whole_month.first_day}"}
    _, explained, adjusted, after = await shell.types(blocks[0], real)
    assert "R21" in explained
    assert "is corrected by -9,483 KRW" in adjusted
    assert "T-4711" in after
    assert (await shell.types(blocks[0][2:3], real))[0] == adjusted


REPORTED_AFTER = "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute"


@workflow.defn(name="SubscriptionWorkflow")
class _AnotherRelease:
    """Does at its first task what no release has done."""

    @workflow.run
    async def run(self) -> None:
        await workflow.sleep(timedelta(days=1))


def worker_of_another_release(house: ServiceEnv) -> Worker:
    return Worker(
        house.temporal,
        task_queue=house.task_queue,
        workflows=[_AnotherRelease],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )


@recipe("A worker does not replay")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    """On a server of its own, which reports a problem at its first occurrence and not at its fifth."""
    [[listed, shown]] = blocks
    async with (
        await WorkflowEnvironment.start_local(
            data_converter=data_converter(),
            dev_server_existing_path=str(Path(sys.executable).with_name("temporal")),
            dev_server_extra_args=["--dynamic-config-value", f"{REPORTED_AFTER}=1"],
        ) as server,
        open_service_env(
            shell.stack, server.client, works=False, database_url=shell.house.database_url
        ) as house,
    ):
        await register_search_attributes(server.client)
        shell = Shell(shell.stack, house, shell.directory)
        async with house.worker():
            life = await paid(shell)
            await life.has_run(2)
            await life.asks("change_renewal_option", term="ANNUAL")

        async def is_reported() -> bool:
            return life.workflow_id in (await shell.types([listed], {}))[0]

        async with worker_of_another_release(house):
            await life.handle.signal("check_domain", {})
            await wait_for("the problem is reported", is_reported)
            assert "WorkflowTaskFailed" in (await shell.types([shown], {"ID": life.id}))[0]
            [said] = await shell.types([f"worksub withdraw {life.id} --json"], {}, codes=[3])
            assert '"code": "WORKFLOW_STUCK"' in said
        async with house.worker():

            async def is_well() -> bool:
                return not await is_reported()

            await wait_for("the list has emptied", is_well, seconds=60)
            await life.asks("upgrade", members=20)


# -- after a disaster --------------------------------------------------------------------------------


async def database(shell: Shell, temporal: Client) -> str:
    """The name of a new one, with the namespace set up for it."""
    name = unique_name("site").replace("-", "_")
    await set_up(temporal, await shell.stack.postgres.ensure_database(name), catalogue())
    return name


@asynccontextmanager
async def site(shell: Shell, temporal: Client, database: str) -> AsyncIterator[Shell]:
    """The shell of a service that works on this namespace and database."""
    url = shell.stack.postgres.dsn(database, OWNER)
    async with open_service_env(shell.stack, temporal, database_url=url, task_queue=TASK_QUEUE) as house:
        yield Shell(shell.stack, house, shell.directory)


def in_house(life: SubscriptionDriver, house: ServiceEnv) -> SubscriptionDriver:
    """The same subscription, as another house knows it."""
    return SubscriptionDriver(house.client, house.temporal, life.id, life.request)


@recipe("The Temporal namespace is lost")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    lost = await new_namespace(shell.house.temporal)
    record = await database(shell, lost)
    async with site(shell, lost, record) as before:
        life = await paid(before)
        events = await life.events()
    async with site(shell, await new_namespace(shell.house.temporal), record) as moved:
        _, told, found, _, listed = await moved.types(blocks[0], {})
        assert "1 repaired" in told
        assert "WORKFLOW_MISSING" in found
        assert life.id in listed
        again = in_house(life, moved.house)
        assert await again.events() == events
        await again.asks("upgrade", members=20)


@recipe("The database was restored from yesterday's backup")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    temporal = await new_namespace(shell.house.temporal)
    today = await database(shell, temporal)
    async with site(shell, temporal, today) as before:
        life = await paid(before)
    yesterday = f"{today}_yesterday"
    await create_database(shell.stack, yesterday, template=today)
    async with site(shell, temporal, today) as before:
        busy = in_house(life, before.house)
        await busy.asks("upgrade", members=20)
        events = await busy.events()
    async with site(shell, temporal, yesterday) as restored:
        told, found, attention, timeline = await restored.types(blocks[0], {"ID": life.id})
        assert "1 repaired" in told
        assert "EVENT_MISSING" in found
        assert "There are none." in attention
        assert "UPGRADED" in timeline
        assert await in_house(life, restored.house).events() == events


@recipe("Temporal was restored from yesterday's backup")
async def _(shell: Shell, blocks: list[list[str]]) -> None:
    temporal = await new_namespace(shell.house.temporal)
    async with site(shell, temporal, await database(shell, temporal)) as here:
        life = await paid(here)
        await life.asks("upgrade", members=20)
        events = await life.events()
        await reset(life, await first_task(life), again=False)
        told, found, timeline = await here.types(blocks[0], {"ID": life.id})
        assert "1 repaired" in told
        assert "WORKFLOW_BEHIND" in found
        assert "UPGRADED" in timeline
        assert await life.events() == events
        await life.asks("upgrade", members=30)


@pytest.mark.parametrize("heading", recipes(*RECOVERY))
async def test_a_recipe_does_what_it_says(shell: Shell, heading: str) -> None:
    await RECIPES[heading](shell, commands_of(heading))
