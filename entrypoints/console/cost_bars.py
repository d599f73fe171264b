"""Data of the bar chart of the cost by month."""

from collections.abc import Iterator, Mapping, Sequence

from subscription.model import Frozen
from subscription.what_if import MonthCost

_STEPS = (1, 2, 5)
_GAP = 0.25
"""Share of a month's width that stays empty between two months."""


class Bar(Frozen):
    """One month of one series. `x`, `width` and `height` are percentages of the chart."""

    series: int
    x: float
    width: float
    height: float


class CostBars(Frozen):
    """Bars of all series, side by side in each month. `top` is the amount at the upper edge."""

    bars: tuple[Bar, ...]
    top: int
    slot: float
    """The width of a month, in percent."""


def cost_bars(series: Mapping[int, Sequence[MonthCost]]) -> CostBars | None:
    """Return the chart's data for series by their numbers; None if nothing costs anything."""
    highest = max((month.total for each in series.values() for month in each), default=0)
    if not highest:
        return None
    slot, top = 100 / max(map(len, series.values())), _round_up(highest)
    width = slot * (1 - _GAP) / len(series)
    bars = (
        Bar(
            series=number,
            x=round(slot * (at + _GAP / 2) + width * place, 2),
            width=round(width * 0.9, 2),
            height=round(100 * month.total / top, 2),
        )
        for place, (number, months) in enumerate(series.items())
        for at, month in enumerate(months)
        if month.total
    )
    return CostBars(bars=tuple(bars), top=top, slot=slot)


def _round_up(amount: int) -> int:
    """Return the next of 2, 4, 10, 20, 40, 100 and so on, whose half is a round number as well."""
    return next(2 * step for step in _round_numbers() if 2 * step >= amount)


def _round_numbers() -> Iterator[int]:
    power = 1
    while True:
        yield from (step * power for step in _STEPS)
        power *= 10
