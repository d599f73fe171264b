"""The sizes of the benchmark cases."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    rounds: int = 5
    warm_up: int = 30
    requests: int = 200
    """The number of requests in a round; `at_once` of them run concurrently."""
    at_once: int = 100
    one_at_a_time: int = 100
    most_workers: int = 4
    """The largest number of worker processes: 1, 2 or 4."""
    bulk: int = 200
    """The number of subscriptions of a bulk run, at its default rate."""
    steady_months: int = 10
    replays: int = 10
    """The number of replays of each month end, in one measurement."""
    few_sleepers: int = 100
    many_sleepers: int = 10_000
    starts: int = 3
    """The number of worker starts per number of idle workflows."""
    nights: int = 10_000
    """The nightly reconciliation is measured with a tenth of this number, with half of it and with all."""
    wave: int = 2_000
    margin_seconds: float = 15.0
    cached: int = 800
    """The number of workflows that a worker has in its cache, which has room for a thousand."""
    simulated: int = 40
    rows: int = 100_000
    """The number of subscriptions in the database for the queries that need no workflow."""


SMALLEST = Sizes(
    rounds=2,
    warm_up=1,
    requests=2,
    at_once=2,
    one_at_a_time=2,
    most_workers=1,
    bulk=2,
    steady_months=2,
    replays=1,
    few_sleepers=2,
    many_sleepers=30,
    starts=1,
    nights=20,
    wave=4,
    margin_seconds=4.0,
    cached=10,
    simulated=1,
    rows=50,
)
"""Enough for a smoke test."""
