"""History size of a subscription in Temporal: events, bytes and billable actions, and the cost of a replay.

With a test clock, the sizes are deterministic. The replay is what most of a million workflows need at month
end, because they are not cached.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from benchmarks.baseline_temporal.workflow import PlainSubscription
from benchmarks.billable_actions import actions_in
from benchmarks.environment import BenchmarkEnvironment
from benchmarks.implementations import TemporalImplementation, events_of
from benchmarks.metrics import Figure
from benchmarks.workload import Sizes
from starter.subscription_clock import SubscriptionClock
from subscription.business_calendar import KST, add_months, day_of, first_of_next_month, start_of
from workflows.registry import replayer

_REPLAYS = 50


@dataclass(frozen=True)
class _Size:
    events: int
    bytes: int
    actions: int


async def history_size(env: BenchmarkEnvironment, sizes: Sizes) -> list[Figure]:
    figures = [
        Figure("history events per billing month", "", 6),
        Figure("history events per trial and annual year", "", 100),
        Figure("billable actions of Temporal Cloud per billing month", "", 2),
        Figure("billable actions of Temporal Cloud per trial and annual year"),
        Figure("history per subscription-year", "KB", 40),
    ]
    replay_cpu = Figure(f"worker CPU to replay a subscription after {sizes.steady_months} months", "ms")
    env.on_progress("Simulating a year…")
    async with env.our_worker(), env.plain_worker():
        years = [_run_year(implementation, sizes.steady_months) for implementation in (env.ours, env.plain)]
        (ours, our_months), (plain, plain_months) = await asyncio.gather(*years)
    for figure, our_value, plain_value in zip(figures, ours, plain, strict=True):
        figure.add(our_value, plain_value)
    plain_replayer = Replayer(workflows=[PlainSubscription])
    for _ in range(sizes.rounds):
        replay_cpu.add(
            await _replay_milliseconds(replayer(), our_months),
            await _replay_milliseconds(plain_replayer, plain_months),
        )
    return [*figures, replay_cpu]


async def _replay_milliseconds(by: Replayer, history: WorkflowHistory) -> float:
    """Return the processor time of all threads for one replay, without fetching the history."""

    async def histories() -> AsyncIterator[WorkflowHistory]:
        for _ in range(_REPLAYS):
            yield history

    begun = time.process_time()
    await by.replay_workflows(histories())
    return (time.process_time() - begun) * 1000 / _REPLAYS


async def _run_year(
    implementation: TemporalImplementation, steady_months: int
) -> tuple[tuple[float, ...], WorkflowHistory]:
    """Run one subscription for a year; return its values in the order of the figures, and its history."""
    workflow_id = await implementation.request()
    switch_at = start_of(day_of(datetime.now(KST)) + timedelta(days=14))
    await implementation.switch_to_paid(workflow_id, switch_at)
    await implementation.idle_since(workflow_id)  # Otherwise, moving the clock causes another workflow task.
    billed = first_of_next_month(day_of(switch_at))
    begin = await _size_after(implementation, workflow_id, start_of(billed))
    for _ in range(steady_months):
        billed = first_of_next_month(billed)
    steady = await _size_after(implementation, workflow_id, start_of(billed))
    months = await implementation.temporal.get_workflow_handle(workflow_id).fetch_history()
    contract_ends_at = start_of(add_months(day_of(switch_at), 12))
    total = await _size_after(implementation, workflow_id, contract_ends_at)
    for _ in range(12 - steady_months):
        billed = first_of_next_month(billed)
    year = await _size_after(implementation, workflow_id, start_of(billed))
    values = (
        (steady.events - begin.events) / steady_months,
        total.events,
        (steady.actions - begin.actions) / steady_months,
        total.actions,
        (year.bytes - begin.bytes) / 1000,
    )
    return values, months


async def _size_after(implementation: TemporalImplementation, workflow_id: str, moment: datetime) -> _Size:
    """Return the size of the history after everything due at `moment` has been processed."""
    await SubscriptionClock(implementation.temporal, workflow_id).advance_to(moment + timedelta(hours=12))
    events = [event async for event in events_of(implementation.temporal, workflow_id)]
    return _Size(len(events), sum(event.ByteSize() for event in events), actions_in(events))
