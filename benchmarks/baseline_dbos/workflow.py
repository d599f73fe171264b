"""The same life on DBOS, as an experienced user of it would first write it: a step for each step.

A workflow is a coroutine of its process that waits there, as DBOS documents it; its steps, its sleeps and
what was sent to it are rows of DBOS's own tables, from which a process that starts takes up what its
predecessor left. The application's tables are those of the plain implementation on Temporal.
"""

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from dbos import DBOS, SetWorkflowID

from benchmarks.baseline_temporal.tables import (
    PRICES,
    TRIAL,
    Fact,
    NameTakenError,
    Request,
    ServiceFee,
    Start,
    Switch,
    Tables,
    TrialStarted,
)

_KST = timezone(timedelta(hours=9))
_TRIAL_STARTED = "trial-started"
_SWITCH = "switch"


@dataclass
class _World:
    """Set before DBOS is launched, which takes up workflows at once."""

    tables: Tables


_world: _World


def use(tables: Tables) -> None:
    global _world
    _world = _World(tables)


@DBOS.step()
async def take_name(request: Request) -> bool:
    try:
        await _world.tables.take_name(request)
    except NameTakenError:
        return False
    return True


@DBOS.step(retries_allowed=True, max_attempts=100)
async def create_account(request: Request) -> None:
    await _world.tables.create_account(request)


@DBOS.step(retries_allowed=True, max_attempts=100)
async def create_administrator(request: Request) -> None:
    await _world.tables.create_administrator(request)


@DBOS.step(retries_allowed=True, max_attempts=100)
async def create_workspace(request: Request) -> None:
    await _world.tables.create_workspace(request)


@DBOS.step(retries_allowed=True, max_attempts=100)
async def record(request: Request, state: str) -> datetime:
    """When it was recorded: a workflow of DBOS has no clock of its own, so a step tells it the time."""
    now = datetime.now(UTC)
    await _world.tables.record(Fact(request.subscription_id, request.customer_id, state, now))
    return now


@DBOS.step(retries_allowed=True, max_attempts=100)
async def post_service_fee(fee: ServiceFee) -> None:
    await _world.tables.post_service_fee(fee)


@DBOS.step()
async def seconds_until(moment: datetime) -> float:
    return (moment - datetime.now(UTC)).total_seconds()


@DBOS.workflow()
async def subscription(start: Start) -> str:
    """Request, trial, and one month that is billed at its end."""
    request, month_from = start.request, start.paid_from
    if month_from is None:
        if not await take_name(request):
            await DBOS.set_event_async(_TRIAL_STARTED, None)
            return "REJECTED"
        await create_account(request)
        await create_administrator(request)
        await create_workspace(request)
        trial_ends_at = await record(request, "TRIAL") + TRIAL
        await DBOS.set_event_async(_TRIAL_STARTED, trial_ends_at)
        switch: Switch | None = await DBOS.recv_async(_SWITCH, await seconds_until(trial_ends_at))
        if switch is None:
            await record(request, "LAPSED")
            return "LAPSED"
        await DBOS.sleep_async(await seconds_until(switch.at))
        await record(request, "ACTIVE")
        month_from = switch.at
    first = month_from.astimezone(_KST)
    days = calendar.monthrange(first.year, first.month)[1]
    until = first.replace(day=1) + timedelta(days=days)
    await DBOS.sleep_async(await seconds_until(until))
    amount = PRICES[request.plan] * request.members * (until - first).days // days
    await post_service_fee(ServiceFee(request.subscription_id, first, until, amount))
    return "BILLED"


async def begin(start: Start) -> None:
    """Start a life; it goes on whatever becomes of this process."""
    with SetWorkflowID(start.request.subscription_id):
        await DBOS.start_workflow_async(subscription, start)


async def trial_started(subscription_id: str) -> TrialStarted:
    """The answer to the request: the trial has started."""
    trial_ends_at: datetime | None = await DBOS.get_event_async(subscription_id, _TRIAL_STARTED)
    if trial_ends_at is None:
        raise NameTakenError("That name is taken.")
    return TrialStarted(subscription_id, trial_ends_at)


async def switch_to_paid(subscription_id: str, switch: Switch) -> None:
    await DBOS.send_async(subscription_id, switch, _SWITCH)
