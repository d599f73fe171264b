"""The rules alone, on one core and with nothing else: no server has been started yet."""

import time

from adapters.settings import DEFAULT_CATALOGUE, read_catalogue
from benchmarks.metrics import Figure
from benchmarks.workload import Sizes
from subscription.catalogue import PriceBook
from subscription.scenario import Scenario, read_scenario, simulate

_MONTHS = 60


def rules(sizes: Sizes) -> list[Figure]:
    figure = Figure("rules alone, subscription-months", "1/s", 20_000, at_least=True)
    book = PriceBook(versions=(read_catalogue(DEFAULT_CATALOGUE),))
    for _ in range(sizes.rounds):
        figure.add(_months_a_second(book, sizes.simulated))
    return [figure]


def _months_a_second(book: PriceBook, lives: int) -> float:
    """Subscription-months that one core simulates in a second of its time."""
    scenario = _five_years()
    begun = time.process_time()
    for number in range(lives):
        simulate(scenario, book, f"life-{number}")
    return lives * _MONTHS / (time.process_time() - begun)


def _five_years() -> Scenario:
    """Sixty months: a switch in the first, an upgrade, a renewal option, renewals and a cancellation."""
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
