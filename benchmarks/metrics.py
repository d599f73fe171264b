"""The lines of the table: a value of each side a round, what the median is to reach, and how it is said."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

TIMES = "×"
"""The unit of what is itself a ratio, of one side alone."""


@dataclass
class Figure:
    """One line of the table.

    `goal` is a bound on the ratio ours : plain, or on our own value where `of_ratio` is false; None where the
    line is only for comparison. `at_least` says on which side of it is well.
    """

    name: str
    unit: str = ""
    goal: float | None = None
    at_least: bool = False
    of_ratio: bool = False
    ours: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    dbos: list[float] = field(default_factory=list)

    def add(self, ours: float, plain: float | None = None, dbos: float | None = None) -> None:
        self.ours.append(ours)
        if plain is not None:
            self.plain.append(plain)
        if dbos is not None:
            self.dbos.append(dbos)

    @property
    def ratios(self) -> list[float]:
        """Of one round each, so that what the machine did meanwhile touched both."""
        return [ours / plain for ours, plain in zip(self.ours, self.plain, strict=False) if plain]

    @property
    def median(self) -> float:
        """What is held against the goal."""
        return statistics.median(self.ratios if self.of_ratio else self.ours)

    @property
    def reached(self) -> bool | None:
        """None where there is no goal."""
        if self.goal is None:
            return None
        return self.median >= self.goal if self.at_least else self.median <= self.goal

    @property
    def titled(self) -> str:
        return f"{self.name}, {self.unit}" if self.unit else self.name

    @property
    def goal_in_words(self) -> str:
        if self.goal is None:
            return "—"
        sign, times = "≥" if self.at_least else "≤", "×" if self.of_ratio else ""
        return f"{sign} {self.goal:,g}{times}"

    @property
    def reached_in_words(self) -> str:
        return {None: "—", True: "yes", False: "**no**"}[self.reached]

    @property
    def cells(self) -> tuple[str, ...]:
        """The line as it is printed and as it stands in the documentation."""
        ratios = [] if self.unit == TIMES else self.ratios
        return (
            *(self.titled, spread(self.ours), spread(self.plain), spread(ratios), spread(self.dbos)),
            *(self.goal_in_words, self.reached_in_words),
        )


HEADINGS = ("figure", "ours", "plain", "ratio", "DBOS", "goal", "reached")


def spread(values: Sequence[float]) -> str:
    """The median, with the least and the most if they differ from it."""
    if not values:
        return "—"
    least, median, most = map(short, (min(values), statistics.median(values), max(values)))
    return median if least == most else f"{median} ({least} to {most})"


def short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
