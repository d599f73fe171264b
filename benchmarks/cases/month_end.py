"""Midnight on the 1st: all are due at one instant of real time, and a worker posts what they owe.

Their clocks are so far ahead that the month ends a little after the last of them has fallen asleep. Nothing
else is simulated: each has a timer on the server, which all fire at that instant.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import asyncpg

from adapters.postgres.pool import Pool, create_pool
from benchmarks.database_fixtures import copied, live
from benchmarks.environment import Ground
from benchmarks.implementations import Side
from benchmarks.metrics import Figure, percentile
from benchmarks.worker_processes import WorkerProcess
from benchmarks.workflow_fixtures import seed_ours, seed_plain
from benchmarks.workload import Sizes
from subscription.business_calendar import KST, day_of, first_of_month, first_of_next_month, start_of
from subscription.catalogue import BillingPolicy, PriceBook
from subscription.state import Subscription

_LOOK_SECONDS = 0.5
_STILL_SECONDS = 60.0
"""So long without a line more, and the rest is taken to be lost."""
_BETWEEN_PEOPLE_SECONDS = 1.0
_SPREAD_MINUTES = 1
_SAMPLED_AT_LEAST = 20
_CAUTION = 1.3
_WHOSE_CPU = ("worker CPU", "Temporal's CPU", "PostgreSQL's CPU")


@dataclass(frozen=True)
class _Wave:
    lateness: Sequence[float]
    """Seconds from the instant at which all were due until each line was recorded."""
    cpu: tuple[float, float, float]
    """Milliseconds of the worker, Temporal and PostgreSQL for each line."""
    answers: Sequence[float]
    """Seconds that people waited who requested something meanwhile, one after the other."""

    @property
    def rate(self) -> float:
        return len(self.lateness) / max(self.lateness)

    @property
    def p99(self) -> float:
        return percentile(self.lateness, 99) if len(self.lateness) > 1 else self.lateness[0]


@dataclass(frozen=True)
class _Midnight:
    """The instant at which so many of a side are due."""

    ground: Ground
    worker: WorkerProcess
    side: Side
    due: datetime
    number: int

    async def passed(self, pool: Pool, query: str, *arguments: datetime | date | Sequence[str]) -> _Wave:
        """Wait until all lines that the query finds are there, or none is added any more."""
        left = (self.due - datetime.now(UTC)).total_seconds()
        if left < 0:
            raise RuntimeError(f"The last fell asleep {-left:.0f} s too late: this machine is too busy.")
        await asyncio.sleep(left)
        self.ground.say("It is midnight…")
        before, over = await self.ground.servers.spent_with(self.worker), asyncio.Event()
        people = asyncio.create_task(self._answers_until(over))
        try:
            recorded = await self._recorded(pool, query, arguments)
        finally:
            over.set()
            answers = await people
        after = await self.ground.servers.spent_with(self.worker)
        return _Wave(
            [(recorded_at - self.due).total_seconds() for recorded_at in recorded],
            after.milliseconds_each(before, len(recorded)),
            answers,
        )

    async def _recorded(self, pool: Pool, query: str, arguments: Sequence[object]) -> list[datetime]:
        found: list[datetime] = []
        still = 0.0
        while len(found) < self.number and still < _STILL_SECONDS:
            await asyncio.sleep(_LOOK_SECONDS)
            before = len(found)
            found = [row["recorded_at"] for row in await pool.fetch(query, *arguments)]
            still = 0.0 if len(found) > before else still + _LOOK_SECONDS
        return found

    async def _answers_until(self, over: asyncio.Event) -> list[float]:
        answers = []
        while not over.is_set():
            begun = time.perf_counter()
            await self.side.request()
            answers.append(time.perf_counter() - begun)
            await asyncio.sleep(_BETWEEN_PEOPLE_SECONDS)
        return answers


async def wave(ground: Ground, sizes: Sizes) -> list[Figure]:
    number = sizes.wave
    rate = Figure(
        f"the 1st: {number:,} due at one instant, drained", "1/s", 0.9, at_least=True, of_ratio=True
    )
    lost = Figure("the 1st: subscriptions without their one line", "", 0)
    cpus = [Figure(f"the 1st: {whose} for each", "ms") for whose in _WHOSE_CPU]
    late, answered = (
        Figure("the 1st: p99 lateness", "s"),
        Figure("the 1st: a request's answer meanwhile", "s"),
    )
    spread = f"with a spread of {_SPREAD_MINUTES} min"
    late_spread = Figure(f"the 1st {spread}: p99 lateness", "s")
    answered_spread = Figure(f"the 1st {spread}: a request's answer meanwhile", "s")
    today = day_of(datetime.now(KST))
    async with create_pool(ground.worker_url, "worksub_worker", connections=1) as pool:
        lived = await live(pool, ground.book, today, months=1)
    ids = await copied(ground.owner, ground.numbers(number))
    ours = await _ours(ground, sizes, lived, ids, _spread_over(ground.book, 0))
    plain = await _plain(ground, sizes, start_of(first_of_month(today)))
    rate.add(ours.rate, plain.rate)
    lost.add(number - len(ours.lateness), number - len(plain.lateness))
    for cpu, our_milliseconds, plain_milliseconds in zip(cpus, ours.cpu, plain.cpu, strict=True):
        cpu.add(our_milliseconds, plain_milliseconds)
    late.add(ours.p99, plain.p99)
    answered.add(statistics.median(ours.answers), statistics.median(plain.answers))
    more = await copied(ground.owner, ground.numbers(number))
    with_spread = await _ours(ground, sizes, lived, more, _spread_over(ground.book, _SPREAD_MINUTES))
    late_spread.add(with_spread.p99)
    answered_spread.add(statistics.median(with_spread.answers))
    return [rate, lost, *cpus, late, answered, late_spread, answered_spread]


def _spread_over(book: PriceBook, minutes: int) -> PriceBook:
    """The book with wake-ups spread over so many minutes."""
    billing = BillingPolicy(spread_minutes=minutes)
    return PriceBook(
        versions=tuple(version.model_copy(update={"billing": billing}) for version in book.versions)
    )


async def _ours(
    ground: Ground, sizes: Sizes, lived: Subscription, ids: Sequence[str], book: PriceBook
) -> _Wave:
    assert lived.billed_up_to is not None
    midnight = start_of(first_of_next_month(lived.billed_up_to))
    sample = await copied(ground.owner, ground.numbers(_sample(len(ids))))
    ground.say(f"{len(ids):,} fall asleep until midnight…")
    async with ground.our_worker() as worker:
        begun = time.perf_counter()
        await seed_ours(ground, sample, book)
        due = _due(sizes, len(ids) / len(sample) * (time.perf_counter() - begun))
        await seed_ours(ground, ids, book, ahead=midnight - due)
        return await _Midnight(ground, worker, ground.ours, due, len(ids)).passed(
            ground.owner,
            "SELECT recorded_at FROM ledger_lines WHERE effective_at = $1 AND subscription_id = ANY($2)",
            midnight,
            ids,
        )


async def _plain(ground: Ground, sizes: Sizes, paid_from: datetime) -> _Wave:
    number, midnight = sizes.wave, start_of(first_of_next_month(paid_from.date()))
    ground.say(f"{number:,} of the plain ones fall asleep until midnight…")
    async with (
        ground.plain_worker() as worker,
        asyncpg.create_pool(ground.plain_url, min_size=1, max_size=1) as pool,
    ):
        begun = time.perf_counter()
        await seed_plain(ground, _sample(number), datetime.now(UTC))
        due = _due(sizes, number / _sample(number) * (time.perf_counter() - begun))
        await seed_plain(ground, number, paid_from, ahead=midnight - due)
        return await _Midnight(ground, worker, ground.plain, due, number).passed(
            pool, "SELECT recorded_at FROM service_fees WHERE end_day = $1", midnight
        )


def _sample(number: int) -> int:
    """So many fall asleep first, to see how long it takes."""
    return min(number, max(_SAMPLED_AT_LEAST, number // 20))


def _due(sizes: Sizes, seconds: float) -> datetime:
    """When all will be asleep that take so many seconds for it."""
    return datetime.now(UTC) + timedelta(seconds=seconds * _CAUTION + sizes.margin_seconds)
