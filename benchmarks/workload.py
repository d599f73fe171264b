"""How much of each is measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    rounds: int = 5
    warm_up: int = 30
    requests: int = 200
    """In a round, so many at a time:"""
    at_once: int = 100
    one_at_a_time: int = 100
    steady_months: int = 10
    few_sleepers: int = 100
    many_sleepers: int = 10_000
    """The night's comparison is of as many, and of a tenth of them."""
    starts: int = 3
    """How often a worker is started among so many sleepers."""
    wave: int = 2_000
    margin_seconds: float = 15.0
    simulated: int = 40
    rows: int = 100_000
    """Subscriptions in the database, for what only the database is asked."""


SMALLEST = Sizes(
    rounds=2,
    warm_up=2,
    requests=4,
    at_once=2,
    one_at_a_time=3,
    steady_months=2,
    few_sleepers=2,
    many_sleepers=30,
    starts=1,
    wave=4,
    margin_seconds=4.0,
    simulated=1,
    rows=50,
)
"""Enough to see that everything still runs."""
