"""What those who sleep cost: a worker that starts among a few of them and among many, and the night's work.

Temporal keeps whoever sleeps, and a worker learns of none that does not wake. DBOS keeps them in its process.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

from adapters.postgres.pool import create_pool
from benchmarks.database_fixtures import TEMPLATE, copied, live
from benchmarks.environment import Ground
from benchmarks.implementations import OnDbos, times_taken_up
from benchmarks.metrics import TIMES, Figure
from benchmarks.polling import until
from benchmarks.reconcile_job import Reconciled, reconcile
from benchmarks.worker_processes import WorkerProcess
from benchmarks.workflow_fixtures import seed_ours, seed_plain
from benchmarks.workload import Sizes
from subscription.business_calendar import KST, day_of

_MONTHS_LIVED = 3
_AT_ONCE = 50
_MIB = 1024 * 1024

_Begun = tuple[float, float]
"""MiB and seconds of a worker when its first work is done, from the start of its process."""


class _Lives:
    """Ours, of whom there are more and more, in the database and asleep in Temporal."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.number = 0

    async def grow_to(self, number: int) -> None:
        ids = [] if self.number else [str(TEMPLATE)]
        numbers = range(max(self.number - 1, 0), number - 1)
        if numbers:
            ids += await copied(self._ground.owner, numbers)
        async with self._ground.our_worker():
            await seed_ours(self._ground, ids, self._ground.book)
        self.number = number


async def sleepers(ground: Ground, sizes: Sizes) -> list[Figure]:
    few, many = sizes.few_sleepers, sizes.many_sleepers
    tenth = max(few, many // 10)
    among = f"{many:,} sleepers against {few:,}"
    memory = Figure(f"worker memory, {among}", TIMES, 1.1)
    first_work = Figure(f"time from start to first work, {among}", TIMES, 1.1)
    memory_many = Figure(f"worker memory among {many:,} sleepers", "MiB")
    first_work_many = Figure(f"time from start to first work among {many:,} sleepers", "s")
    nightly = Figure(f"nightly reconcile over {many:,} subscriptions", "s")
    growing = Figure(f"its time against that over {tenth:,}", TIMES, 10.5)
    flat = Figure("its memory against that", TIMES, 1.1)

    async with create_pool(ground.worker_url, "worksub_worker", connections=1) as pool:
        await live(pool, ground.book, day_of(datetime.now(KST)), _MONTHS_LIVED)
    lives = _Lives(ground)

    async def our_request() -> None:
        await ground.ours.request()

    async def plain_request() -> None:
        await ground.plain.request()

    before: list[_Begun] = []
    ground.say(f"{few:,} fall asleep…")
    await lives.grow_to(few)
    async with ground.plain_worker():
        await seed_plain(ground, few, datetime.now(UTC))
    await _seed_dbos(ground, few)
    before.append(await _median(sizes, ground.our_worker, our_request))
    before.append(await _median(sizes, ground.plain_worker, plain_request))
    before.append(await _median_on_dbos(ground, sizes))

    ground.say(f"Reconciling {tenth:,}…")
    await lives.grow_to(tenth)
    short_night = await _night(ground)

    ground.say(f"{many:,} fall asleep…")
    await lives.grow_to(many)
    async with ground.plain_worker():
        await seed_plain(ground, many - few, datetime.now(UTC))
    await _seed_dbos(ground, many - few)
    after = [
        await _median(sizes, ground.our_worker, our_request),
        await _median(sizes, ground.plain_worker, plain_request),
        await _median_on_dbos(ground, sizes),
    ]
    memory_many.add(*(mebibytes for mebibytes, _ in after))
    first_work_many.add(*(seconds for _, seconds in after))
    pairs = list(zip(after, before, strict=True))
    memory.add(*(with_many[0] / with_few[0] for with_many, with_few in pairs))
    first_work.add(*(with_many[1] / with_few[1] for with_many, with_few in pairs))

    ground.say(f"Reconciling {many:,}…")
    night = await _night(ground)
    nightly.add(night.seconds)
    growing.add(night.seconds / short_night.seconds)
    flat.add(night.memory_bytes / short_night.memory_bytes)
    return [memory, first_work, memory_many, first_work_many, nightly, growing, flat]


async def _night(ground: Ground) -> Reconciled:
    night = await reconcile(ground)
    if night.report.by_code:
        raise RuntimeError(f"Reconciling found {dict(night.report.by_code)} in a house that is well.")
    return night


async def _median(
    sizes: Sizes,
    worker: Callable[[], AbstractAsyncContextManager[WorkerProcess]],
    request: Callable[[], Awaitable[None]],
) -> _Begun:
    """The request waits in Temporal while the worker starts."""

    async def begun() -> _Begun:
        since = time.perf_counter()
        answered = asyncio.ensure_future(request())
        async with worker() as process:
            await answered
            return (await process.used()).memory_bytes / _MIB, time.perf_counter() - since

    return _medians([await begun() for _ in range(sizes.starts)])


async def _median_on_dbos(ground: Ground, sizes: Sizes) -> _Begun:
    """Its process answers as soon as it listens; its memory is that with all who sleep taken up again."""

    async def begun() -> _Begun:
        unfinished, times = await times_taken_up(ground.dbos_pool)
        since = time.perf_counter()
        async with ground.dbos_worker() as process:
            with ground.dbos(process) as side:
                await side.request()
            seconds = time.perf_counter() - since
            # The request's own workflow is one of them by now.
            await until(lambda: _taken_up(ground, times + unfinished + 1))
            return (await process.used()).memory_bytes / _MIB, seconds

    return _medians([await begun() for _ in range(sizes.starts)])


async def _taken_up(ground: Ground, times: int) -> bool:
    _, by_now = await times_taken_up(ground.dbos_pool)
    return by_now >= times


def _medians(begun: list[_Begun]) -> _Begun:
    memory, seconds = zip(*begun, strict=True)
    return statistics.median(memory), statistics.median(seconds)


async def _seed_dbos(ground: Ground, number: int) -> None:
    places = asyncio.Semaphore(_AT_ONCE)

    async def seed(side: OnDbos) -> None:
        async with places:
            await side.asleep_since(await side.begin(datetime.now(UTC)))

    async with ground.dbos_worker() as process:
        with ground.dbos(process) as side:
            await asyncio.gather(*(seed(side) for _ in range(number)))
