"""The month-end run: all service fees are due at the same instant of real time.

The subscriptions' clocks are ahead, so that the month ends shortly after the last workflow has become idle.
Nothing else is simulated: each workflow has a timer on the server, and all timers fire at that instant.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import asyncpg

from adapters.postgres.pool import Pool, create_pool
from benchmarks.database_fixtures import copy_template, create_template
from benchmarks.environment import BenchmarkEnvironment
from benchmarks.implementations import Implementation
from benchmarks.metrics import Figure, percentile
from benchmarks.worker_processes import WorkerProcess
from benchmarks.workflow_fixtures import seed_ours, seed_plain
from benchmarks.workload import Sizes
from subscription.business_calendar import KST, day_of, first_of_month, first_of_next_month, start_of
from subscription.catalogue import BillingPolicy, PriceBook
from subscription.state import Subscription

_POLL_SECONDS = 0.5
_STALL_SECONDS = 60.0
"""After this time without a new line, the missing lines are counted as lost."""
_BETWEEN_REQUESTS_SECONDS = 1.0
_SPREAD_MINUTES = 1
_SAMPLED_AT_LEAST = 20
_SAFETY_FACTOR = 1.3
_CPU_NAMES = ("worker CPU", "Temporal's CPU", "PostgreSQL's CPU")


@dataclass(frozen=True)
class _MonthEndResult:
    lateness: Sequence[float]
    """Seconds from the due time until each line was recorded."""
    cpu: tuple[float, float, float]
    """Milliseconds of the worker, Temporal and PostgreSQL per line."""
    response_times: Sequence[float]
    """Response times in seconds of sequential requests during the month-end run."""

    @property
    def rate(self) -> float:
        return len(self.lateness) / max(self.lateness)

    @property
    def p99(self) -> float:
        return percentile(self.lateness, 99) if len(self.lateness) > 1 else self.lateness[0]


@dataclass(frozen=True)
class _MonthEndLoad:
    """A number of subscriptions of one implementation that are due at the same instant."""

    env: BenchmarkEnvironment
    worker: WorkerProcess
    implementation: Implementation
    due: datetime
    number: int

    async def measure(
        self, pool: Pool, query: str, *arguments: datetime | date | Sequence[str]
    ) -> _MonthEndResult:
        """Wait until the query returns all lines, or returns no new line for a minute."""
        left = (self.due - datetime.now(UTC)).total_seconds()
        if left < 0:
            raise RuntimeError(
                f"The last workflow became idle {-left:.0f} s too late: this machine is too busy."
            )
        await asyncio.sleep(left)
        self.env.on_progress("It is midnight…")
        before, over = await self.env.servers.usage_with(self.worker), asyncio.Event()
        requests = asyncio.create_task(self._response_times_until(over))
        try:
            recorded = await self._recorded(pool, query, arguments)
        finally:
            over.set()
            response_times = await requests
        after = await self.env.servers.usage_with(self.worker)
        return _MonthEndResult(
            [(recorded_at - self.due).total_seconds() for recorded_at in recorded],
            after.milliseconds_each(before, len(recorded)),
            response_times,
        )

    async def _recorded(self, pool: Pool, query: str, arguments: Sequence[object]) -> list[datetime]:
        recorded: list[datetime] = []
        stalled_for = 0.0
        while len(recorded) < self.number and stalled_for < _STALL_SECONDS:
            await asyncio.sleep(_POLL_SECONDS)
            before = len(recorded)
            recorded = [row["recorded_at"] for row in await pool.fetch(query, *arguments)]
            stalled_for = 0.0 if len(recorded) > before else stalled_for + _POLL_SECONDS
        return recorded

    async def _response_times_until(self, over: asyncio.Event) -> list[float]:
        response_times = []
        while not over.is_set():
            begun = time.perf_counter()
            await self.implementation.request()
            response_times.append(time.perf_counter() - begun)
            await asyncio.sleep(_BETWEEN_REQUESTS_SECONDS)
        return response_times


async def month_end(env: BenchmarkEnvironment, sizes: Sizes) -> list[Figure]:
    number = sizes.wave
    rate = Figure(
        f"month end: {number:,} subscriptions due at one instant", "1/s", 1.3, at_least=True, of_ratio=True
    )
    lost = Figure("month end: subscriptions without a ledger line", "", 0)
    cpus = [Figure(f"month end: {name} per line", "ms") for name in _CPU_NAMES]
    late, answered = (
        Figure("month end: p99 lateness", "s"),
        Figure("month end: response time of a concurrent request", "s"),
    )
    window = f"with a billing window of {_SPREAD_MINUTES} min"
    late_spread = Figure(f"month end {window}: p99 lateness", "s")
    answered_spread = Figure(f"month end {window}: response time of a concurrent request", "s")
    today = day_of(datetime.now(KST))
    async with create_pool(env.worker_url, "worksub_worker", connections=1) as pool:
        template = await create_template(pool, env.book, today, months=1)
    ids = await copy_template(env.owner, env.numbers(number))
    ours = await _run_worksub(env, sizes, template, ids, _with_billing_window(env.book, 0))
    plain = await _run_baseline(env, sizes, start_of(first_of_month(today)))
    rate.add(ours.rate, plain.rate)
    lost.add(number - len(ours.lateness), number - len(plain.lateness))
    for cpu, our_milliseconds, plain_milliseconds in zip(cpus, ours.cpu, plain.cpu, strict=True):
        cpu.add(our_milliseconds, plain_milliseconds)
    late.add(ours.p99, plain.p99)
    answered.add(statistics.median(ours.response_times), statistics.median(plain.response_times))
    more = await copy_template(env.owner, env.numbers(number))
    with_spread = await _run_worksub(
        env, sizes, template, more, _with_billing_window(env.book, _SPREAD_MINUTES)
    )
    late_spread.add(with_spread.p99)
    answered_spread.add(statistics.median(with_spread.response_times))
    return [rate, lost, *cpus, late, answered, late_spread, answered_spread]


def _with_billing_window(book: PriceBook, minutes: int) -> PriceBook:
    """Return the price book with a billing window of `minutes`."""
    billing = BillingPolicy(spread_minutes=minutes)
    return PriceBook(
        versions=tuple(version.model_copy(update={"billing": billing}) for version in book.versions)
    )


async def _run_worksub(
    env: BenchmarkEnvironment, sizes: Sizes, template: Subscription, ids: Sequence[str], book: PriceBook
) -> _MonthEndResult:
    assert template.billed_until is not None
    midnight = start_of(first_of_next_month(template.billed_until))
    sample = await copy_template(env.owner, env.numbers(_sample(len(ids))))
    env.on_progress(f"Starting {len(ids):,} workflows that are due at midnight…")
    async with env.our_worker() as worker:
        begun = time.perf_counter()
        await seed_ours(env, sample, book)
        due = _due(sizes, len(ids) / len(sample) * (time.perf_counter() - begun))
        await seed_ours(env, ids, book, ahead=midnight - due)
        return await _MonthEndLoad(env, worker, env.ours, due, len(ids)).measure(
            env.owner,
            "SELECT recorded_at FROM ledger_lines WHERE effective_at = $1 AND subscription_id = ANY($2)",
            midnight,
            ids,
        )


async def _run_baseline(env: BenchmarkEnvironment, sizes: Sizes, paid_from: datetime) -> _MonthEndResult:
    number, midnight = sizes.wave, start_of(first_of_next_month(paid_from.date()))
    env.on_progress(f"Starting {number:,} plain workflows that are due at midnight…")
    async with (
        env.plain_worker() as worker,
        asyncpg.create_pool(env.plain_url, min_size=1, max_size=1) as pool,
    ):
        begun = time.perf_counter()
        await seed_plain(env, _sample(number), datetime.now(UTC))
        due = _due(sizes, number / _sample(number) * (time.perf_counter() - begun))
        await seed_plain(env, number, paid_from, ahead=midnight - due)
        return await _MonthEndLoad(env, worker, env.plain, due, number).measure(
            pool, "SELECT recorded_at FROM service_fees WHERE end_day = $1", midnight
        )


def _sample(number: int) -> int:
    """Return the number of workflows that are started first, to estimate the time for all of them."""
    return min(number, max(_SAMPLED_AT_LEAST, number // 20))


def _due(sizes: Sizes, seconds: float) -> datetime:
    """Return the due time for workflows that need `seconds` to become idle."""
    return datetime.now(UTC) + timedelta(seconds=seconds * _SAFETY_FACTOR + sizes.margin_seconds)
