"""The baseline on DBOS, as an experienced DBOS user would first write it: one DBOS step per action.

A workflow is a coroutine that waits in its process, as documented by DBOS. Its steps, sleeps and messages are
rows in DBOS's own tables; a new process recovers unfinished workflows from them. The application's tables are
those of the baseline on Temporal.
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
class _Context:
    """The context of the steps. Set it before DBOS is launched, because DBOS then recovers workflows."""

    tables: Tables


_context: _Context


def use(tables: Tables) -> None:
    global _context
    _context = _Context(tables)


@DBOS.step()
async def take_name(request: Request) -> bool:
    try:
        await _context.tables.take_name(request)
    except NameTakenError:
        return False
    return True


@DBOS.step(retries_allowed=True, max_attempts=100)
async def create_account(request: Request) -> None:
    await _context.tables.create_account(request)


@DBOS.step(retries_allowed=True, max_attempts=100)
async def create_administrator(request: Request) -> None:
    await _context.tables.create_administrator(request)


@DBOS.step(retries_allowed=True, max_attempts=100)
async def create_workspace(request: Request) -> None:
    await _context.tables.create_workspace(request)


@DBOS.step(retries_allowed=True, max_attempts=100)
async def record(request: Request, state: str) -> datetime:
    """Record the state and return the time. A step must return it, because DBOS workflows have no clock."""
    now = datetime.now(UTC)
    await _context.tables.record(Fact(request.subscription_id, request.customer_id, state, now))
    return now


@DBOS.step(retries_allowed=True, max_attempts=100)
async def post_service_fee(fee: ServiceFee) -> None:
    await _context.tables.post_service_fee(fee)


@DBOS.step()
async def seconds_until(moment: datetime) -> float:
    return (moment - datetime.now(UTC)).total_seconds()


@DBOS.workflow()
async def subscription(start: Start) -> str:
    """Run a subscription: request, trial, and one month that is billed at its end."""
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
    """Start a subscription. It continues in another process if this one ends."""
    with SetWorkflowID(start.request.subscription_id):
        await DBOS.start_workflow_async(subscription, start)


async def trial_started(subscription_id: str) -> TrialStarted:
    """Wait until the trial has started, and return the response to the request."""
    trial_ends_at: datetime | None = await DBOS.get_event_async(subscription_id, _TRIAL_STARTED)
    if trial_ends_at is None:
        raise NameTakenError("That name is taken.")
    return TrialStarted(subscription_id, trial_ends_at)


async def switch_to_paid(subscription_id: str, switch: Switch) -> None:
    await DBOS.send_async(subscription_id, switch, _SWITCH)
