"""History size of a subscription in Temporal: events, bytes and billable actions, and the cost of a replay.

With a test clock, the sizes are deterministic. The replay is what most of a million workflows need at month
end, because they are not cached. A run covers six months, and at a month's end the runs of a million
subscriptions are of every age: so the mean over consecutive month ends counts.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

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

_EVENTS_OF_A_MONTH = 6
_EVENTS_OF_A_YEAR = 9 + 17 + 7 + 12 * _EVENTS_OF_A_MONTH + 7 + 2 * 5
"""The request, a reserved switch with its new run, its date, twelve months, the renewal, and two new runs.

docs/performance.md explains why each step takes that many events.
"""


@dataclass(frozen=True)
class _Size:
    events: int
    bytes: int
    actions: int


async def history_size(env: BenchmarkEnvironment, sizes: Sizes) -> list[Figure]:
    figures = [
        Figure("history events per billing month", "", _EVENTS_OF_A_MONTH),
        Figure("history events per trial and annual year", "", _EVENTS_OF_A_YEAR),
        Figure("billable actions of Temporal Cloud per billing month", "", 2),
        Figure("billable actions of Temporal Cloud per trial and annual year"),
        Figure("history per subscription-year", "KB", 40),
    ]
    replay_cpu = Figure(
        f"worker CPU to replay a subscription, mean of {sizes.steady_months} month ends", "ms"
    )
    env.on_progress("Simulating a year…")
    async with env.our_worker(), env.plain_worker():
        years = [_run_year(implementation, sizes.steady_months) for implementation in (env.ours, env.plain)]
        (ours, our_months), (plain, plain_months) = await asyncio.gather(*years)
    for figure, our_value, plain_value in zip(figures, ours, plain, strict=True):
        figure.add(our_value, plain_value)
    plain_replayer = Replayer(workflows=[PlainSubscription])
    for _ in range(sizes.rounds):
        replay_cpu.add(
            await _replay_milliseconds(replayer(), our_months, sizes.replays),
            await _replay_milliseconds(plain_replayer, plain_months, sizes.replays),
        )
    return [*figures, replay_cpu]


async def _replay_milliseconds(by: Replayer, histories: Sequence[WorkflowHistory], replays: int) -> float:
    """Return the processor time of all threads for one replay, without fetching the histories.

    It is the mean over `replays` replays of each history.
    """

    async def repeated() -> AsyncIterator[WorkflowHistory]:
        for _ in range(replays):
            for history in histories:
                yield history

    begun = time.process_time()
    await by.replay_workflows(repeated())
    return (time.process_time() - begun) * 1000 / replays / len(histories)


async def _run_year(
    implementation: TemporalImplementation, steady_months: int
) -> tuple[tuple[float, ...], list[WorkflowHistory]]:
    """Run one subscription for a year.

    Return its values in the order of the figures, and the history of the current run at each month's end.
    """
    workflow_id = await implementation.request()
    switch_at = start_of(day_of(datetime.now(KST)) + timedelta(days=14))
    await implementation.switch_to_paid(workflow_id, switch_at)
    await implementation.idle_since(workflow_id)  # Otherwise, moving the clock causes another workflow task.
    billed = first_of_next_month(day_of(switch_at))
    begin = await _size_after(implementation, workflow_id, start_of(billed))
    after_months, histories = [begin], []
    for _ in range(steady_months):
        billed = first_of_next_month(billed)
        after_months.append(await _size_after(implementation, workflow_id, start_of(billed)))
        histories.append(await implementation.temporal.get_workflow_handle(workflow_id).fetch_history())
    months = list(pairwise(after_months))
    events_a_month = statistics.median(later.events - size.events for size, later in months)
    actions_a_month = statistics.median(later.actions - size.actions for size, later in months)
    contract_ends_at = start_of(add_months(day_of(switch_at), 12))
    total = await _size_after(implementation, workflow_id, contract_ends_at)
    for _ in range(12 - steady_months):
        billed = first_of_next_month(billed)
    year = await _size_after(implementation, workflow_id, start_of(billed))
    values = (
        events_a_month,
        total.events,
        actions_a_month,
        total.actions,
        (year.bytes - begin.bytes) / 1000,
    )
    return values, histories


async def _size_after(implementation: TemporalImplementation, workflow_id: str, moment: datetime) -> _Size:
    """Return the size of the history after everything due at `moment` has been processed."""
    await SubscriptionClock(implementation.temporal, workflow_id).advance_to(moment + timedelta(hours=12))
    events = [event async for event in events_of(implementation.temporal, workflow_id)]
    return _Size(len(events), sum(event.ByteSize() for event in events), actions_in(events))
