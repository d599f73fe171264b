"""The test clocks of the embedded Temporal server, one for each workflow."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.polling import wait_for
from support.tcp_proxy import TcpProxy
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from dev_stack.temporal_server import TemporalServer
from starter.subscription_clock import SubscriptionClock

TASK_QUEUE = "test-clock"


@workflow.defn
class Sleeper:
    """A workflow that sleeps one day at a time, `days` times per run, through `runs` more runs."""

    @workflow.init
    def __init__(self, days: int, runs: int, wakes: int) -> None:
        self._wakes = wakes

    @workflow.run
    async def run(self, days: int, runs: int, wakes: int) -> None:
        for _ in range(days):
            await workflow.sleep(timedelta(days=1))
            self._wakes += 1
        if runs:
            workflow.continue_as_new(args=[days, runs - 1, self._wakes])

    @workflow.update
    async def now(self) -> datetime:
        """Return the workflow's own time."""
        return workflow.now()

    @workflow.query
    def wakes(self) -> int:
        """Return the number of days that it has slept, in this run and the earlier ones."""
        return self._wakes


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    async with TemporalServer(tmp_path_factory.mktemp("temporal"), search_attributes={}) as server:
        yield await Client.connect(server.address, namespace=server.namespace)


def serving(client: Client) -> Worker:
    return Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[Sleeper],
        workflow_runner=UnsandboxedWorkflowRunner(),
        build_id="test",
    )


@pytest.fixture
async def worker(client: Client) -> AsyncIterator[None]:
    async with serving(client):
        yield


async def start_sleeper(client: Client, name: str, *, days: int, runs: int = 0) -> SubscriptionClock:
    await client.start_workflow(Sleeper.run, args=[days, runs, 0], id=name, task_queue=TASK_QUEUE)
    return SubscriptionClock(client, name)


@pytest.mark.usefixtures("worker")
async def test_clock_advances_twenty_days(client: Client) -> None:
    clock = await start_sleeper(client, "twenty-days", days=60)
    handle = client.get_workflow_handle("twenty-days")
    start = await clock.now()
    assert abs(start - datetime.now(UTC)) < timedelta(minutes=1)

    seen: list[datetime] = []
    target = start + timedelta(days=19, hours=12)
    assert await clock.advance_to(target, on_progress=seen.append)
    assert await handle.query(Sleeper.wakes) == 19
    assert target <= await clock.now() < target + timedelta(minutes=1)
    assert target <= await handle.execute_update(Sleeper.now) < target + timedelta(minutes=1)
    assert seen == sorted(seen)
    assert seen[0] < target <= seen[-1]

    assert await clock.advance_to(target + timedelta(days=20))
    assert await handle.query(Sleeper.wakes) == 39


@pytest.mark.usefixtures("worker")
async def test_clock_cannot_move_backwards(client: Client) -> None:
    clock = await start_sleeper(client, "not-back", days=60)
    start = await clock.now()
    assert await clock.advance_to(start - timedelta(days=1))
    assert await clock.now() < start + timedelta(minutes=1)


@pytest.mark.usefixtures("worker")
async def test_near_clock_target_is_waited_for_in_real_time(client: Client) -> None:
    """Otherwise real time could overtake a time skip to a near target."""
    clock = await start_sleeper(client, "near", days=60)
    for milliseconds in (0.1, 1, 10, 100):
        near = await clock.now() + timedelta(milliseconds=milliseconds)
        assert await clock.advance_to(near)
        assert near <= await clock.now() < near + timedelta(minutes=1)
    history = await client.get_workflow_handle("near").fetch_history()
    skips = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED
    assert skips not in {event.event_type for event in history.events}


@pytest.mark.usefixtures("worker")
async def test_clock_continues_across_continue_as_new(client: Client) -> None:
    clock = await start_sleeper(client, "runs", days=3, runs=10)
    handle = client.get_workflow_handle("runs")
    first_run = (await handle.describe()).run_id
    target = await clock.now() + timedelta(days=10, hours=12)
    assert await clock.advance_to(target)
    assert (await handle.describe()).run_id != first_run
    assert await handle.query(Sleeper.wakes) == 10
    assert await clock.advance_to(target + timedelta(days=3))
    assert await handle.query(Sleeper.wakes) == 13


@pytest.mark.usefixtures("worker")
async def test_clock_stops_at_workflow_end(client: Client) -> None:
    clock = await start_sleeper(client, "ends", days=3)
    target = await clock.now() + timedelta(days=30)
    assert not await clock.advance_to(target)
    assert await clock.now() < target
    assert not await clock.advance_to(target)


@pytest.mark.usefixtures("worker")
async def test_concurrent_clock_moves_skip_no_deadline(client: Client) -> None:
    here = await start_sleeper(client, "two-movers", days=60)
    elsewhere = SubscriptionClock(client, "two-movers")
    start = await here.now() + timedelta(hours=12)
    near, far = start + timedelta(days=10), start + timedelta(days=20)
    assert all(await asyncio.gather(here.advance_to(near), elsewhere.advance_to(far)))
    assert await client.get_workflow_handle("two-movers").query(Sleeper.wakes) == 20


async def test_a_clock_waits_until_another_process_has_moved_it(client: Client) -> None:
    clock = await start_sleeper(client, "other-process", days=60)
    handle = client.get_workflow_handle("other-process")
    other = TimeSkipper(client)
    start = await clock.now() + timedelta(hours=12)
    # While no worker takes the first workflow task, the clock of the workflow stands still.
    moved_by_other = asyncio.create_task(other.fast_forward(handle, timedelta(days=10)))
    while (info := await other.get_time_skipping_info(handle)) is None or not info.effective_config.enabled:
        pass
    moved = asyncio.create_task(clock.advance_to(start + timedelta(days=20)))
    async with serving(client):
        assert await moved_by_other
        assert await moved
        assert await handle.query(Sleeper.wakes) == 20


@pytest.mark.usefixtures("worker")
async def test_clock_moves_once_if_the_response_is_lost(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks after the server has moved the clock, and before the client knows."""
    direct = await start_sleeper(client, "lost-response", days=60)
    target = await direct.now() + timedelta(days=10, hours=12)
    server = client.service_client.config.target_host
    async with TcpProxy() as proxy:
        proxy.leads_to(server)
        caller = await Client.connect(proxy.address, namespace=client.namespace)
        service = caller.service_client.workflow_service
        update = service.update_workflow_execution_options

        async def lose_first_answer(*request: Any, **options: Any) -> Any:
            monkeypatch.undo()
            proxy.loses_answers()
            return await update(*request, **options)

        monkeypatch.setattr(service, "update_workflow_execution_options", lose_first_answer)
        moved = asyncio.create_task(SubscriptionClock(caller, "lost-response").advance_to(target))

        async def has_moved() -> bool:
            return await direct.now() >= target

        await wait_for("the clock has moved", has_moved)
        proxy.closes()
        proxy.leads_to(server)
        assert await moved
    assert await client.get_workflow_handle("lost-response").query(Sleeper.wakes) == 10


@pytest.mark.usefixtures("worker")
async def test_clocks_of_several_workflows_differ(client: Client) -> None:
    clocks = [await start_sleeper(client, f"own-{days}", days=30) for days in range(1, 9)]
    start = datetime.now(UTC) + timedelta(hours=12)
    targets = [start + timedelta(days=days) for days in range(1, 9)]
    assert all(
        await asyncio.gather(
            *(clock.advance_to(target) for clock, target in zip(clocks, targets, strict=True))
        )
    )
    for days in range(1, 9):
        assert await client.get_workflow_handle(f"own-{days}").query(Sleeper.wakes) == days


async def test_clock_without_workflow_is_an_error(client: Client) -> None:
    with pytest.raises(RPCError) as refused:
        await SubscriptionClock(client, "no-such-workflow").advance_to(datetime.now(UTC) + timedelta(days=1))
    assert refused.value.status == RPCStatusCode.NOT_FOUND
