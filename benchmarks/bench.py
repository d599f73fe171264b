"""`python -m benchmarks.bench`: what this service costs beside the plain implementation, in one run."""

import argparse
import asyncio
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
from rich.console import Console
from rich.table import Table
from temporalio.client import Client

from activities.database import connected
from activities.settings import DEFAULT_CATALOGUE, read_catalogue
from benchmarks.plain_activities import SCHEMA
from benchmarks.sides import Ours, Plain, Side, asleep_since, events_of
from benchmarks.workers import WorkerProcess, our_worker, plain_worker, worker_process
from starter.client import SubscriptionClient
from starter.embedded.stack import EmbeddedStack
from starter.setup import set_up
from starter.test_clock import TestClock
from subscription.calendar import KST, day_of, first_of_next_month, start_of
from subscription.catalogue import PriceBook
from subscription.simulation import Scenario, read_scenario, simulate
from workflows.converter import data_converter

REQUESTS = 200
AT_ONCE = 100
ONE_AT_A_TIME = 100
_WARM_UP = 30
_STEADY_MONTHS = 10
_LIVES = 40


@dataclass
class Figure:
    """One line of the table: a value of each side a round, and what the median is to reach.

    `goal` is a bound on the ratio ours : plain, or on our own value where `of_ratio` is false.
    """

    name: str
    unit: str
    goal: float
    at_least: bool
    of_ratio: bool = False
    ours: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)

    def add(self, ours: float, plain: float | None = None) -> None:
        self.ours.append(ours)
        if plain is not None:
            self.plain.append(plain)

    @property
    def ratios(self) -> list[float]:
        """Of one round each, so that what the machine did meanwhile touched both."""
        return [ours / plain for ours, plain in zip(self.ours, self.plain, strict=False)]

    @property
    def reached(self) -> bool:
        value = statistics.median(self.ratios if self.of_ratio else self.ours)
        return value >= self.goal if self.at_least else value <= self.goal

    @property
    def goal_in_words(self) -> str:
        sign, times = "≥" if self.at_least else "≤", "×" if self.of_ratio else ""
        return f"{sign} {self.goal:,g}{times}"


class Figures:
    def __init__(self) -> None:
        self.rate = Figure("settled requests", "1/s", 1.5, at_least=True, of_ratio=True)
        self.cpu = Figure("worker CPU per settled request", "ms", 0.5, at_least=False, of_ratio=True)
        self.p50 = Figure("latency of a request's answer, p50", "ms", 0.7, at_least=False, of_ratio=True)
        self.p99 = Figure("latency of a request's answer, p99", "ms", 0.7, at_least=False, of_ratio=True)
        self.month_events = Figure("history events per billing month", "", 6, at_least=False)
        self.life_events = Figure("history events per trial and annual year", "", 100, at_least=False)
        self.year_bytes = Figure("history per subscription-year", "KB", 40, at_least=False)
        self.rules = Figure("rules alone, subscription-months", "1/s", 20_000, at_least=True)

    def all(self) -> list[Figure]:
        return [
            *(self.rate, self.cpu, self.p50, self.p99),
            *(self.month_events, self.life_events, self.year_bytes, self.rules),
        ]


@dataclass(frozen=True)
class Contestant:
    side: Side
    worker: WorkerProcess


class Bench:
    def __init__(self, temporal: Client, ours: Contestant, plain: Contestant, book: PriceBook) -> None:
        self._temporal, self._ours, self._plain, self._book = temporal, ours, plain, book
        self.figures = Figures()

    async def warm_up(self) -> None:
        for contestant in (self._ours, self._plain):
            await self._throughput(contestant, _WARM_UP)

    async def round(self) -> None:
        figures = self.figures
        (our_rate, our_cpu), (plain_rate, plain_cpu) = [
            await self._throughput(contestant, REQUESTS) for contestant in (self._ours, self._plain)
        ]
        figures.rate.add(our_rate, plain_rate)
        figures.cpu.add(our_cpu * 1000, plain_cpu * 1000)
        ours, plain = [await self._latencies(contestant) for contestant in (self._ours, self._plain)]
        figures.p50.add(_percentile(ours, 50), _percentile(plain, 50))
        figures.p99.add(_percentile(ours, 99), _percentile(plain, 99))
        figures.rules.add(_months_a_second(self._book))

    async def histories(self) -> None:
        """Counted once: on a test clock they are the same every time."""
        ours, plain = await asyncio.gather(*(self._history(c.side) for c in (self._ours, self._plain)))
        self.figures.month_events.add(ours.month_events, plain.month_events)
        self.figures.life_events.add(ours.life_events, plain.life_events)
        self.figures.year_bytes.add(ours.year_kilobytes, plain.year_kilobytes)

    async def _throughput(self, contestant: Contestant, requests: int) -> tuple[float, float]:
        """Settled requests a second, and the worker's CPU seconds for each."""
        places = asyncio.Semaphore(AT_ONCE)

        async def request() -> str:
            async with places:
                return await contestant.side.request()

        cpu, begun = contestant.worker.cpu_seconds(), datetime.now(UTC)
        ids = await asyncio.gather(*(request() for _ in range(requests)))
        # Each is looked at after the answers, and its own history says when it fell asleep.
        asleep = [await asleep_since(self._temporal, workflow_id) for workflow_id in ids]
        seconds = (max(asleep) - begun).total_seconds()
        return requests / seconds, (contestant.worker.cpu_seconds() - cpu) / requests

    async def _latencies(self, contestant: Contestant) -> list[float]:
        """Milliseconds to the answer, each request alone on the machine: the one before is asleep."""
        latencies = []
        for _ in range(ONE_AT_A_TIME):
            begun = time.perf_counter()
            workflow_id = await contestant.side.request()
            latencies.append((time.perf_counter() - begun) * 1000)
            await asleep_since(self._temporal, workflow_id)
        return latencies

    async def _history(self, side: Side) -> "History":
        workflow_id = await side.request()
        now = datetime.now(KST)
        switch_at = start_of(day_of(now) + timedelta(days=14))
        await side.switch_to_paid(workflow_id, switch_at)
        billed = first_of_next_month(day_of(switch_at))
        begin = await self._size_after(workflow_id, start_of(billed))
        for _ in range(_STEADY_MONTHS):
            billed = first_of_next_month(billed)
        steady = await self._size_after(workflow_id, start_of(billed))
        for _ in range(12 - _STEADY_MONTHS):
            billed = first_of_next_month(billed)
        year = await self._size_after(workflow_id, start_of(billed))
        return History(
            month_events=(steady.events - begin.events) / _STEADY_MONTHS,
            life_events=year.events,
            year_kilobytes=(year.bytes - begin.bytes) / 1000,
        )

    async def _size_after(self, workflow_id: str, moment: datetime) -> "Size":
        """How much history there is when all that was due at `moment` has been done."""
        await TestClock(self._temporal, workflow_id).advance_to(moment + timedelta(hours=12))
        sizes = [event.ByteSize() async for event in events_of(self._temporal, workflow_id)]
        return Size(events=len(sizes), bytes=sum(sizes))


@dataclass(frozen=True)
class Size:
    events: int
    bytes: int


@dataclass(frozen=True)
class History:
    month_events: float
    life_events: int
    year_kilobytes: float


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _months_a_second(book: PriceBook) -> float:
    """Subscription-months that one core simulates in a second."""
    scenario = _five_years()
    begun = time.process_time()
    for number in range(_LIVES):
        simulate(scenario, book, f"life-{number}")
    return _LIVES * 60 / (time.process_time() - begun)


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


async def measure(rounds: int, directory: Path, say: Console) -> Figures:
    async with AsyncExitStack() as running:
        with say.status("") as status:
            stack = await running.enter_async_context(
                EmbeddedStack(directory, search_attributes={}, on_progress=status.update)
            )
            address, our_url = stack.addresses.temporal_address, stack.addresses.database_url
            temporal = await Client.connect(address, data_converter=data_converter())
            catalogue = read_catalogue(DEFAULT_CATALOGUE)
            await set_up(temporal, our_url, catalogue)
            plain_url = await stack.postgres.ensure_database("plain")
            await _create_tables(plain_url)
            status.update("Starting the workers…")
            start = partial(worker_process, temporal_address=address)
            our_process = running.enter_context(start(our_worker, database_url=our_url))
            plain_process = running.enter_context(start(plain_worker, database_url=plain_url))
            pool = await running.enter_async_context(connected(our_url, "worksub_reader"))
            book = PriceBook(versions=(catalogue,))
            ours = Contestant(Ours(SubscriptionClient(temporal, pool), book), our_process)
            plain = Contestant(Plain(await Client.connect(address), book), plain_process)
            bench = Bench(temporal, ours, plain, book)
            status.update("Warming up…")
            await bench.warm_up()
            for number in range(1, rounds + 1):
                status.update(f"Round {number} of {rounds}…")
                await bench.round()
            status.update("Letting a year pass…")
            await bench.histories()
            return bench.figures


async def _create_tables(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(SCHEMA)
    finally:
        await connection.close()


def table(figures: Figures, rounds: int) -> Table:
    drawn = Table(
        title=f"{rounds} rounds of {REQUESTS} requests, {AT_ONCE} at a time, and {ONE_AT_A_TIME} one by one, "
        f"on {os.cpu_count()} cores; median (least to most)",
    )
    for heading in ("figure", "ours", "plain", "ratio", "goal", "reached"):
        drawn.add_column(heading)
    for figure in figures.all():
        drawn.add_row(
            figure.name + (f", {figure.unit}" if figure.unit else ""),
            _spread(figure.ours),
            _spread(figure.plain),
            _spread(figure.ratios),
            figure.goal_in_words,
            "yes" if figure.reached else "no",
        )
    return drawn


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "—"
    least, median, most = map(_short, (min(values), statistics.median(values), max(values)))
    return median if least == most else f"{median} ({least} to {most})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def document(figures: Figures, rounds: int) -> str:
    return json.dumps(
        {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "rounds": rounds,
            "figures": [
                {**asdict(figure), "ratios": figure.ratios, "reached": figure.reached}
                for figure in figures.all()
            ],
        },
        indent=2,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (3)")
    parser.add_argument("--json", action="store_true", help="every value of every round, as JSON")
    asked = parser.parse_args()
    with TemporaryDirectory(prefix="worksub-bench-") as directory:
        figures = asyncio.run(measure(asked.rounds, Path(directory), Console(stderr=True)))
    if asked.json:
        print(document(figures, asked.rounds))
    else:
        Console().print(table(figures, asked.rounds))
    # The SDK can abort an interpreter that exits while its threads still hold objects (sdk-python#300).
    gc.collect()


if __name__ == "__main__":
    main()
