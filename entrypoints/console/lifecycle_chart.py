"""Data of the lifecycle chart: phases of a subscription on a time axis."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise

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
_NAMED_WIDTH = 18.0
"""Minimum width, in percent, of a run of phases whose name is shown inside it."""
_VISIBLE_WIDTH = 0.2
_TICK_STEPS = (1, 3, 6, 12, 24, 48, 96)
"""Months from one tick to the next. Each step is a multiple of the one before, so the ticks nest."""
_GAP_WIDE, _GAP_NARROW = 7.5, 19.0
"""Minimum distance, in percent, between two labels of ticks on a desktop and on a phone."""
_MARGIN_WIDE, _MARGIN_NARROW = 3.0, 7.0
"""Minimum distance, in percent, of a label from both ends of the chart."""


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
        return self.width >= _NAMED_WIDTH

    @property
    def middle(self) -> float:
        return round(self.x + self.width / 2, 2)


class Tick(Frozen):
    """The first day of a month on the axis, at `x` percent; whether its label fits, and fits on a phone."""

    month: Day
    x: float
    wide: bool
    narrow: bool


class LifecycleChart(Frozen):
    stretches: tuple[Phase, ...]
    runs: tuple[Phase, ...]
    """The phases, with neighbors of the same kind merged: successive contracts of one term."""
    ticks: tuple[Tick, ...]
    first: datetime
    last: datetime
    today: float | None
    reserved: float | None
    ends: bool
    """True if the subscription ends at the end of the chart."""

    @property
    def kinds(self) -> tuple[PhaseKind, ...]:
        """Return the kinds of the visible phases without duplicates, in order."""
        return tuple(dict.fromkeys(run.kind for run in self.runs if run.width >= _VISIBLE_WIDTH))


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

    def placed(phases: Iterable[Phase]) -> tuple[Phase, ...]:
        ends = [(phase, percent(phase.start), percent(phase.end)) for phase in phases]
        return tuple(phase.model_copy(update={"x": x, "width": round(to - x, 2)}) for phase, x, to in ends)

    return LifecycleChart(
        stretches=placed(stretches),
        runs=placed(_runs(stretches)),
        ticks=_ticks(first, last, percent),
        first=first,
        last=last,
        today=percent(now) if first <= now <= last and not state.state.is_terminal else None,
        reserved=percent(min(start_of(state.reservation.date), last)) if state.reservation else None,
        ends=any(isinstance(event, Canceled) for event in events),
    )


def _runs(stretches: Iterable[Phase]) -> list[Phase]:
    runs: list[Phase] = []
    for stretch in stretches:
        if runs and runs[-1].kind is stretch.kind:
            runs[-1] = runs[-1].model_copy(update={"end": stretch.end})
        else:
            runs.append(stretch)
    return runs


def _ticks(first: datetime, last: datetime, percent: Callable[[datetime], float]) -> tuple[Tick, ...]:
    """Return ticks as dense as labels fit on a desktop; fewer of them have a label on a phone."""
    months = [first_of_next_month(day_of(first))]
    while start_of(months[-1]) < last:
        months.append(first_of_next_month(months[-1]))
    places = {month: percent(start_of(month)) for month in months[:-1]}
    narrow = _spaced(places, _GAP_NARROW)
    return tuple(
        Tick(
            month=month,
            x=x,
            wide=_inside(x, _MARGIN_WIDE),
            narrow=month in narrow and _inside(x, _MARGIN_NARROW),
        )
        for month, x in _spaced(places, _GAP_WIDE).items()
    )


def _spaced(places: Mapping[date, float], gap: float) -> dict[date, float]:
    """Return every so many months that neighbors keep the distance `gap`, aligned to January."""
    found: dict[date, float] = {}
    for step in _TICK_STEPS:
        found = {month: x for month, x in places.items() if (month.year * 12 + month.month - 1) % step == 0}
        if all(after - before >= gap for before, after in pairwise(found.values())):
            break
    return found


def _inside(x: float, margin: float) -> bool:
    return margin <= x <= 100 - margin


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
