"""What a life leaves in Temporal: events, bytes and billable actions, the same every time on a test clock.

And what it costs a worker to take up such a life again, which is what most of a million need on the 1st.
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
from benchmarks.environment import Ground
from benchmarks.implementations import OnTemporal, events_of
from benchmarks.metrics import Figure
from benchmarks.workload import Sizes
from starter.subscription_clock import SubscriptionClock
from subscription.business_calendar import KST, add_months, day_of, first_of_next_month, start_of
from workflows.registry import replayer

_TAKEN_UP = 50


@dataclass(frozen=True)
class _Size:
    events: int
    bytes: int
    actions: int


async def histories(ground: Ground, sizes: Sizes) -> list[Figure]:
    figures = [
        Figure("history events per billing month", "", 6),
        Figure("history events per trial and annual year", "", 100),
        Figure("billable actions of Temporal Cloud per billing month", "", 2),
        Figure("billable actions of Temporal Cloud per trial and annual year"),
        Figure("history per subscription-year", "KB", 40),
    ]
    taking_up = Figure(f"worker CPU to take up a life with {sizes.steady_months} months behind it", "ms")
    ground.say("Letting a year pass…")
    async with ground.our_worker(), ground.plain_worker():
        lives = [_lived(side, sizes.steady_months) for side in (ground.ours, ground.plain)]
        (ours, our_months), (plain, plain_months) = await asyncio.gather(*lives)
    for figure, our_value, plain_value in zip(figures, ours, plain, strict=True):
        figure.add(our_value, plain_value)
    plain_replayer = Replayer(workflows=[PlainSubscription])
    for _ in range(sizes.rounds):
        taking_up.add(
            await _milliseconds_to_take_up(replayer(), our_months),
            await _milliseconds_to_take_up(plain_replayer, plain_months),
        )
    return [*figures, taking_up]


async def _milliseconds_to_take_up(by: Replayer, history: WorkflowHistory) -> float:
    """Processor time of all threads for one replay, the history read from Temporal already."""

    async def histories() -> AsyncIterator[WorkflowHistory]:
        for _ in range(_TAKEN_UP):
            yield history

    begun = time.process_time()
    await by.replay_workflows(histories())
    return (time.process_time() - begun) * 1000 / _TAKEN_UP


async def _lived(side: OnTemporal, steady_months: int) -> tuple[tuple[float, ...], WorkflowHistory]:
    """Of one life, in the order of the figures; and the run with its steady months."""
    workflow_id = await side.request()
    switch_at = start_of(day_of(datetime.now(KST)) + timedelta(days=14))
    await side.switch_to_paid(workflow_id, switch_at)
    await side.asleep_since(workflow_id)  # or the clock that is moved has it make a task more
    billed = first_of_next_month(day_of(switch_at))
    begin = await _size_after(side, workflow_id, start_of(billed))
    for _ in range(steady_months):
        billed = first_of_next_month(billed)
    steady = await _size_after(side, workflow_id, start_of(billed))
    months = await side.temporal.get_workflow_handle(workflow_id).fetch_history()
    contract_ends_at = start_of(add_months(day_of(switch_at), 12))
    life = await _size_after(side, workflow_id, contract_ends_at)
    for _ in range(12 - steady_months):
        billed = first_of_next_month(billed)
    year = await _size_after(side, workflow_id, start_of(billed))
    values = (
        (steady.events - begin.events) / steady_months,
        life.events,
        (steady.actions - begin.actions) / steady_months,
        life.actions,
        (year.bytes - begin.bytes) / 1000,
    )
    return values, months


async def _size_after(side: OnTemporal, workflow_id: str, moment: datetime) -> _Size:
    """How much history there is when all that was due at `moment` has been done."""
    await SubscriptionClock(side.temporal, workflow_id).advance_to(moment + timedelta(hours=12))
    events = [event async for event in events_of(side.temporal, workflow_id)]
    return _Size(len(events), sum(event.ByteSize() for event in events), actions_in(events))
