"""Throughput of the domain rules on one core. It runs before any server is started."""

import time

from adapters.settings import DEFAULT_CATALOGUE, read_catalogue
from benchmarks.metrics import TIMES, Figure
from benchmarks.startup import NAME, empty_run_time
from benchmarks.workload import Sizes
from subscription.catalogue import PriceBook
from subscription.scenario import Scenario, read_scenario, simulate

_MONTHS = 60


async def rules_throughput(sizes: Sizes) -> list[Figure]:
    rate = Figure("rules only, subscription-months", "1/s")
    times = Figure(f"rules only, five years of a subscription against {NAME}", TIMES, 0.25)
    book = PriceBook(versions=(read_catalogue(DEFAULT_CATALOGUE),))
    await empty_run_time()
    for _ in range(sizes.rounds):
        unit, seconds = (await empty_run_time()).cpu, _cpu_seconds(book, sizes.simulated)
        rate.add(_MONTHS / seconds)
        times.add(seconds / unit)
    return [rate, times]


def _cpu_seconds(book: PriceBook, subscriptions: int) -> float:
    """Return the processor time of one simulation."""
    scenario = _five_years()
    begun = time.process_time()
    for number in range(subscriptions):
        simulate(scenario, book, f"subscription-{number}")
    return (time.process_time() - begun) / subscriptions


def _five_years() -> Scenario:
    """Return a scenario of 60 months with a switch, an upgrade, a renewal option and a cancellation."""
    return read_scenario(
        {
            "name": "five years",
            "request": {"at": "2026-12-20T10:00:00+09:00", "plan": "basic", "members": 10},
            "steps": [
                {
                    "at": "2026-12-21T09:00:00+09:00",
                    "switch_to_paid": {"date": "2027-01-01", "term": "ANNUAL"},
                },
                {"at": "2027-02-01T09:00:00+09:00", "change_renewal_option": {"term": "ANNUAL"}},
                {"at": "2027-03-15T09:00:00+09:00", "upgrade": {"plan": "premium", "members": 20}},
                {"at": "2031-06-01T09:00:00+09:00", "cancel": {"date": "2031-12-15"}},
            ],
            "until": "2031-12-20T10:00:00+09:00",
        }
    )
