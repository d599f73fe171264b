"""The figures of the result table: values per round and implementation, goal, and formatting."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

TIMES = "×"
"""The unit of a figure that is itself a ratio within one implementation."""


@dataclass
class Figure:
    """A line of the result table.

    `goal` is a bound on the ratio ours : plain if `of_ratio` is set, otherwise on worksub's own value. It is
    None if the line is only for comparison. The goal is a lower bound if `at_least` is set.
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
        """Return the ratio of each round. Both values of a round are affected by the same machine load."""
        return [ours / plain for ours, plain in zip(self.ours, self.plain, strict=False) if plain]

    @property
    def median(self) -> float:
        """Return the value that is compared with the goal."""
        return statistics.median(self.ratios if self.of_ratio else self.ours)

    @property
    def reached(self) -> bool | None:
        """Return whether the goal is reached; None without a goal."""
        if self.goal is None:
            return None
        return self.median >= self.goal if self.at_least else self.median <= self.goal

    @property
    def title(self) -> str:
        return f"{self.name}, {self.unit}" if self.unit else self.name

    @property
    def goal_text(self) -> str:
        if self.goal is None:
            return "—"
        sign, times = "≥" if self.at_least else "≤", "×" if self.of_ratio else ""
        return f"{sign} {self.goal:,g}{times}"

    @property
    def reached_text(self) -> str:
        return {None: "—", True: "yes", False: "**no**"}[self.reached]

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the cells of the line, for the terminal and the documentation."""
        ratios = [] if self.unit == TIMES else self.ratios
        return (
            *(self.title, spread(self.ours), spread(self.plain), spread(ratios), spread(self.dbos)),
            *(self.goal_text, self.reached_text),
        )


HEADINGS = ("figure", "worksub", "plain", "ratio", "DBOS", "goal", "reached")


def spread(values: Sequence[float]) -> str:
    """Format the median, with the minimum and the maximum if they differ."""
    if not values:
        return "—"
    least, median, most = map(short, (min(values), statistics.median(values), max(values)))
    return median if least == most else f"{median} ({least} to {most})"


def short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
