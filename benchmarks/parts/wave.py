"""Midnight on the 1st: all are due at one instant of real time, and a worker posts what they owe.

Their clocks are so far ahead that the month ends a little after the last of them has fallen asleep. Nothing
else is simulated: each has a timer on the server, which all fire at that instant.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import asyncpg

from activities.database import connected
from benchmarks.figures import Figure, percentile
from benchmarks.ground import Ground
from benchmarks.population import copied, live
from benchmarks.seeding import seed_ours, seed_plain
from benchmarks.sizes import Sizes
from benchmarks.workers import WorkerProcess
from subscription.calendar import KST, day_of, first_of_month, first_of_next_month, start_of
from subscription.catalogue import BillingPolicy, PriceBook
from subscription.state import Subscription

_LOOK_SECONDS = 0.5
_STILL_SECONDS = 60.0
"""So long without a line more, and the rest is taken to be lost."""
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

    @property
    def rate(self) -> float:
        return len(self.lateness) / max(self.lateness)

    @property
    def p99(self) -> float:
        return percentile(self.lateness, 99) if len(self.lateness) > 1 else self.lateness[0]


async def wave(ground: Ground, sizes: Sizes) -> list[Figure]:
    number = sizes.wave
    rate = Figure(
        f"the 1st: {number:,} due at one instant, drained", "1/s", 0.9, at_least=True, of_ratio=True
    )
    lost = Figure("the 1st: subscriptions without their one line", "", 0)
    late = Figure("the 1st: p99 lateness without the spread", "s")
    cpus = [Figure(f"the 1st: {whose} for each", "ms") for whose in _WHOSE_CPU]
    spread = Figure(f"the 1st: p99 lateness with a spread of {_SPREAD_MINUTES} min", "s")
    today = day_of(datetime.now(KST))
    async with connected(ground.worker_url, "worksub_worker", connections=1) as pool:
        lived = await live(pool, ground.book, today, months=1)
    ids = await copied(ground.owner, ground.numbers(number))
    ours = await _ours(ground, sizes, lived, ids, _spread_over(ground.book, 0))
    plain = await _plain(ground, sizes, start_of(first_of_month(today)))
    rate.add(ours.rate, plain.rate)
    late.add(ours.p99, plain.p99)
    for cpu, our_milliseconds, plain_milliseconds in zip(cpus, ours.cpu, plain.cpu, strict=True):
        cpu.add(our_milliseconds, plain_milliseconds)
    lost.add(number - len(ours.lateness), number - len(plain.lateness))
    more = await copied(ground.owner, ground.numbers(number))
    spread.add((await _ours(ground, sizes, lived, more, _spread_over(ground.book, _SPREAD_MINUTES))).p99)
    return [rate, lost, *cpus, late, spread]


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
        await _until(ground, due)
        return await _drained(
            ground,
            worker,
            ground.owner,
            "SELECT recorded_at FROM ledger_lines WHERE effective_at = $1 AND subscription_id = ANY($2)",
            (midnight, ids),
            due,
            len(ids),
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
        await _until(ground, due)
        query = "SELECT recorded_at FROM service_fees WHERE end_day = $1"
        return await _drained(ground, worker, pool, query, (midnight,), due, number)


def _sample(number: int) -> int:
    """So many fall asleep first, to see how long it takes."""
    return min(number, max(_SAMPLED_AT_LEAST, number // 20))


def _due(sizes: Sizes, seconds: float) -> datetime:
    """When all will be asleep that take so many seconds for it."""
    return datetime.now(UTC) + timedelta(seconds=seconds * _CAUTION + sizes.margin_seconds)


async def _until(ground: Ground, due: datetime) -> None:
    left = (due - datetime.now(UTC)).total_seconds()
    if left < 0:
        raise RuntimeError(f"The last fell asleep {-left:.0f} s after midnight: this machine is too busy.")
    await asyncio.sleep(left)
    ground.say("It is midnight…")


async def _drained(
    ground: Ground,
    worker: WorkerProcess,
    pool: asyncpg.Pool,
    query: str,
    arguments: Sequence[datetime | date | Sequence[str]],
    due: datetime,
    number: int,
) -> _Wave:
    """Wait until all lines are there, or none is added any more."""
    before_them = await ground.servers.spent_with(worker)
    found: list[datetime] = []
    still = 0.0
    while len(found) < number and still < _STILL_SECONDS:
        await asyncio.sleep(_LOOK_SECONDS)
        before = len(found)
        found = [row["recorded_at"] for row in await pool.fetch(query, *arguments)]
        still = 0.0 if len(found) > before else still + _LOOK_SECONDS
    after_them = await ground.servers.spent_with(worker)
    return _Wave(
        [(recorded_at - due).total_seconds() for recorded_at in found],
        after_them.milliseconds_each(before_them, len(found)),
    )
