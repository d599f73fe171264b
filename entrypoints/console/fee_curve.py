"""Data of the chart of the cancellation fee by date."""

from collections.abc import Sequence
from datetime import date

from subscription.business_calendar import Day
from subscription.forecast import Quote
from subscription.model import Frozen

_ROOM = 14.0
"""Minimum distance, in percent of the width, between the labels of two days."""


class FeePoint(Frozen):
    """The fee on a date. `x` and `y` are percentages of the chart, from its lower left corner."""

    date: Day
    fee: int
    x: float
    y: float


class FeeCurve(Frozen):
    points: tuple[FeePoint, ...]
    highest: int
    labeled: tuple[FeePoint, ...]
    """The points whose dates have room under the chart: the first, the last, and some between them."""
    chosen: FeePoint | None


def fee_curve(quotes: Sequence[Quote], chosen: Quote | None = None) -> FeeCurve | None:
    """Return the chart's data; None if no date has a fee. `chosen` is marked if it is within the chart."""
    highest = max((quote.penalty for quote in quotes), default=0)
    if not highest:
        return None
    first, last = quotes[0].date, quotes[-1].date

    def point(quote: Quote) -> FeePoint:
        return FeePoint(
            date=quote.date,
            fee=quote.penalty,
            x=round(100 * _days(first, quote.date) / _days(first, last), 2),
            y=round(100 * quote.penalty / highest, 2),
        )

    points = tuple(map(point, quotes))
    return FeeCurve(
        points=points,
        highest=highest,
        labeled=tuple(_with_room(points)),
        chosen=point(chosen) if chosen and first <= chosen.date <= last else None,
    )


def _days(first: date, last: date) -> int:
    return (last - first).days


def _with_room(points: Sequence[FeePoint]) -> list[FeePoint]:
    """Return the first and the last point, and those between them that are far enough from each other."""
    labeled = [points[0]]
    for point in points[1:-1]:
        if point.x - labeled[-1].x >= _ROOM and 100 - point.x >= _ROOM and point.date.day == 1:
            labeled.append(point)
    return [*labeled, points[-1]]
