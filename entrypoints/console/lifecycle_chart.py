"""Data of the lifecycle chart: phases of a subscription on a time axis."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum

from starter.client import CurrentState
from subscription.business_calendar import Day, day_of, first_of_next_month, start_of
from subscription.events import (
    Canceled,
    ContractRenewed,
    Event,
    SwitchedToPaid,
    TrialEnded,
    TrialStarted,
    Upgraded,
)
from subscription.forecast import future_events
from subscription.model import Frozen

_AHEAD = timedelta(days=400)
_MOST_EVENTS = 80
_WIDE_ENOUGH = 14.0
"""Minimum width, in percent, of a phase whose name is shown inside it."""
_MOST_TICKS = 7
_TICK_STEPS = (1, 2, 3, 6, 12, 24, 60)
"""Months from one tick to the next."""
_END_LABEL, _RESERVED_LABEL = 16.0, 10.0
"""Distance, in percent, that the label of a tick keeps from the ends and from the reserved date."""


class PhaseKind(StrEnum):
    TRIAL = "TRIAL"
    GRACE = "GRACE"
    MONTHLY = "MONTHLY"
    ANNUAL = "ANNUAL"


class Phase(Frozen):
    """Phase from `start` to `end`. `x` and `width` are percentages of the chart's width."""

    kind: PhaseKind
    start: datetime
    end: datetime
    planned: bool
    x: float = 0.0
    width: float = 0.0

    @property
    def named(self) -> bool:
        return self.width >= _WIDE_ENOUGH

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


class Tick(Frozen):
    """The first day of a month on the axis, at `x` percent. `labeled` is False next to another label."""

    month: Day
    x: float
    labeled: bool


class LifecycleChart(Frozen):
    stretches: tuple[Phase, ...]
    ticks: tuple[Tick, ...]
    first: datetime
    last: datetime
    today: float | None
    reserved: float | None
    ends: bool
    """True if the subscription ends at the end of the chart."""

    @property
    def kinds(self) -> tuple[PhaseKind, ...]:
        """Return the kinds of phases without duplicates, in order."""
        return tuple(dict.fromkeys(stretch.kind for stretch in self.stretches))


def picture_of(current: CurrentState, past: Sequence[Event]) -> LifecycleChart | None:
    """Return the chart's data; None for a subscription that has not started."""
    state, now = current.state, current.now
    events = [*past[: state.sequence], *_ahead(current)]
    stretches = _stretches(events, now)
    if not stretches:
        return None
    first, last = stretches[0].start, max(stretch.end for stretch in stretches)

    def percent(at: datetime) -> float:
        return round(100 * ((at - first) / (last - first)), 2) if last > first else 0.0

    placed = tuple(
        stretch.model_copy(
            update={
                "x": percent(stretch.start),
                "width": round(percent(stretch.end) - percent(stretch.start), 2),
            }
        )
        for stretch in stretches
    )
    reserved = start_of(state.reservation.date) if state.reservation else None
    reserved_x = percent(min(reserved, last)) if reserved else None
    return LifecycleChart(
        stretches=placed,
        ticks=tuple(
            Tick(month=month, x=x, labeled=_has_room(x, reserved_x))
            for month, x in ((month, percent(start_of(month))) for month in _tick_months(first, last))
        ),
        first=first,
        last=last,
        today=percent(now) if first <= now <= last and not state.state.is_terminal else None,
        reserved=reserved_x,
        ends=any(isinstance(event, Canceled) for event in events),
    )


def _tick_months(first: datetime, last: datetime) -> Sequence[date]:
    """Return the first days of months between two times, every so many months that there are few."""
    months = [first_of_next_month(day_of(first))]
    while start_of(months[-1]) < last:
        months.append(first_of_next_month(months[-1]))
    months.pop()
    step = next(step for step in _TICK_STEPS if len(months) <= _MOST_TICKS * step or step == _TICK_STEPS[-1])
    return [month for month in months if (month.month - 1) % min(step, 12) == 0][:: max(1, step // 12)]


def _has_room(x: float, reserved: float | None) -> bool:
    """Return whether a label at `x` keeps clear of both ends and of the reserved date."""
    is_inside = _END_LABEL <= x <= 100 - _END_LABEL
    return is_inside and (reserved is None or abs(x - reserved) >= _RESERVED_LABEL)


def _ahead(current: CurrentState) -> Iterable[Event]:
    for number, (event, _) in enumerate(future_events(current.state, current.book)):
        if event.at > current.now + _AHEAD or number >= _MOST_EVENTS:
            return
        yield event


def _stretches(events: Iterable[Event], now: datetime) -> list[Phase]:
    found: list[Phase] = []

    def begin(kind: PhaseKind, start: datetime, end: datetime) -> None:
        stop(start)
        found.append(Phase(kind=kind, start=start, end=end, planned=start > now))

    def stop(at: datetime) -> None:
        if found and found[-1].end > at:
            found[-1] = found[-1].model_copy(update={"end": at})
        if found and found[-1].end <= found[-1].start:
            found.pop()

    for event in events:
        match event:
            case TrialStarted():
                begin(PhaseKind.TRIAL, event.at, event.trial_ends_at)
            case TrialEnded():
                begin(PhaseKind.GRACE, event.at, event.grace_ends_at)
            case SwitchedToPaid(contract=contract) | ContractRenewed(contract=contract):
                begin(PhaseKind(contract.term.value), event.at, start_of(contract.end_day))
            case Upgraded(contract=contract) if found and start_of(contract.end_day) != found[-1].end:
                begin(PhaseKind(contract.term.value), event.at, start_of(contract.end_day))
            case Canceled():
                stop(event.at)
    return found
