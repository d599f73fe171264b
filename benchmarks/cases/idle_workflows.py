"""Memory and start-up time of a worker with few and with many idle workflows.

Temporal stores idle workflows, and a worker loads only those that wake up. DBOS keeps all of them in memory.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

from benchmarks.environment import BenchmarkEnvironment
from benchmarks.idle_subscriptions import IdleSubscriptions
from benchmarks.implementations import BaselineDbos, recovery_counts
from benchmarks.metrics import TIMES, Figure
from benchmarks.polling import wait_for
from benchmarks.worker_processes import WorkerProcess
from benchmarks.workflow_fixtures import seed_plain
from benchmarks.workload import Sizes

_CONCURRENCY = 50
_MIB = 1024 * 1024

_StartUp = tuple[float, float]
"""A worker's memory in MiB and the seconds since its start, when its first work is done."""


async def idle_workflows(env: BenchmarkEnvironment, sizes: Sizes) -> list[Figure]:
    few, many = sizes.few_sleepers, sizes.many_sleepers
    idle = f"{many:,} idle workflows against {few:,}"
    memory = Figure(f"worker memory, {idle}", TIMES, 1.1)
    first_work = Figure(f"time from start to first work, {idle}", TIMES, 1.1)
    memory_many = Figure(f"worker memory with {many:,} idle workflows", "MiB")
    first_work_many = Figure(f"time from start to first work with {many:,} idle workflows", "s")
    subscriptions = IdleSubscriptions(env)

    async def our_request() -> None:
        await env.ours.request()

    async def plain_request() -> None:
        await env.plain.request()

    before: list[_StartUp] = []
    env.on_progress(f"Starting {few:,} idle workflows…")
    await subscriptions.grow_to(few)
    async with env.plain_worker():
        await seed_plain(env, few, datetime.now(UTC))
    await _seed_dbos(env, few)
    before.append(await _median(sizes, env.our_worker, our_request))
    before.append(await _median(sizes, env.plain_worker, plain_request))
    before.append(await _median_on_dbos(env, sizes))

    env.on_progress(f"Starting {many:,} idle workflows…")
    await subscriptions.grow_to(many)
    async with env.plain_worker():
        await seed_plain(env, many - few, datetime.now(UTC))
    await _seed_dbos(env, many - few)
    after = [
        await _median(sizes, env.our_worker, our_request),
        await _median(sizes, env.plain_worker, plain_request),
        await _median_on_dbos(env, sizes),
    ]
    memory_many.add(*(mebibytes for mebibytes, _ in after))
    first_work_many.add(*(seconds for _, seconds in after))
    pairs = list(zip(after, before, strict=True))
    memory.add(*(with_many[0] / with_few[0] for with_many, with_few in pairs))
    first_work.add(*(with_many[1] / with_few[1] for with_many, with_few in pairs))
    return [memory, first_work, memory_many, first_work_many]


async def _median(
    sizes: Sizes,
    worker: Callable[[], AbstractAsyncContextManager[WorkerProcess]],
    request: Callable[[], Awaitable[None]],
) -> _StartUp:
    """Measure worker starts; the request is sent first and waits in Temporal until the worker is ready."""

    async def begun() -> _StartUp:
        since = time.perf_counter()
        answered = asyncio.ensure_future(request())
        async with worker() as process:
            await answered
            return (await process.usage()).memory_bytes / _MIB, time.perf_counter() - since

    return _medians([await begun() for _ in range(sizes.starts)])


async def _median_on_dbos(env: BenchmarkEnvironment, sizes: Sizes) -> _StartUp:
    """Measure starts of the DBOS process: time to the first response, memory after full recovery."""

    async def begun() -> _StartUp:
        unfinished, times = await recovery_counts(env.dbos_pool)
        since = time.perf_counter()
        async with env.dbos_worker() as process:
            with env.dbos(process) as implementation:
                await implementation.request()
            seconds = time.perf_counter() - since
            # The workflow of the request is now also unfinished.
            await wait_for(lambda: _has_recovered(env, times + unfinished + 1))
            return (await process.usage()).memory_bytes / _MIB, seconds

    return _medians([await begun() for _ in range(sizes.starts)])


async def _has_recovered(env: BenchmarkEnvironment, times: int) -> bool:
    _, by_now = await recovery_counts(env.dbos_pool)
    return by_now >= times


def _medians(begun: list[_StartUp]) -> _StartUp:
    memory, seconds = zip(*begun, strict=True)
    return statistics.median(memory), statistics.median(seconds)


async def _seed_dbos(env: BenchmarkEnvironment, number: int) -> None:
    places = asyncio.Semaphore(_CONCURRENCY)

    async def seed(implementation: BaselineDbos) -> None:
        async with places:
            await implementation.idle_since(await implementation.begin(datetime.now(UTC)))

    async with env.dbos_worker() as process:
        with env.dbos(process) as implementation:
            await asyncio.gather(*(seed(implementation) for _ in range(number)))
