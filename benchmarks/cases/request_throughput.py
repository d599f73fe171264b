"""Throughput of requests, CPU time per request, and response times."""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks.environment import BenchmarkEnvironment
from benchmarks.implementations import Implementation
from benchmarks.metrics import Figure, percentile
from benchmarks.worker_processes import WorkerProcess
from benchmarks.workload import Sizes


@dataclass(frozen=True)
class Candidate:
    """An implementation, and its running workers."""

    implementation: Implementation
    workers: tuple[WorkerProcess, ...]


@dataclass(frozen=True)
class Throughput:
    """`rate`: settled requests per second. `cpu`: milliseconds per request.

    CPU times are those of the workers, of Temporal and of PostgreSQL.
    """

    rate: float
    cpu: tuple[float, float, float]

    @property
    def cores(self) -> tuple[float, ...]:
        """Cores in use on average: by the workers, by Temporal, by PostgreSQL."""
        return tuple(self.rate * milliseconds / 1000 for milliseconds in self.cpu)


async def request_throughput(env: BenchmarkEnvironment, sizes: Sizes) -> list[Figure]:
    rate = Figure("settled requests", "1/s", 1.5, at_least=True, of_ratio=True)
    cpus = [
        Figure("worker CPU per settled request", "ms", 0.5, of_ratio=True),
        Figure("Temporal's CPU per settled request", "ms"),
        Figure("PostgreSQL's CPU per settled request", "ms"),
    ]
    p50 = Figure("response time of a request, p50", "ms", 0.7, of_ratio=True)
    p99 = Figure("response time of a request, p99", "ms", 0.7, of_ratio=True)
    async with AsyncExitStack() as running:
        ours, plain, dbos = [
            await running.enter_async_context(worker)
            for worker in (env.our_worker(), env.plain_worker(), env.dbos_worker())
        ]
        candidates = [
            Candidate(env.ours, (ours,)),
            Candidate(env.plain, (plain,)),
            Candidate(running.enter_context(env.dbos(dbos)), (dbos,)),
        ]
        for candidate in candidates:
            await throughput(env, candidate, sizes.warm_up, sizes.at_once)
        for number in range(1, sizes.rounds + 1):
            env.on_progress(f"Requests, round {number} of {sizes.rounds}…")
            measured = [await throughput(env, each, sizes.requests, sizes.at_once) for each in candidates]
            rate.add(*(each.rate for each in measured))
            for number_of_cpu, cpu in enumerate(cpus):
                cpu.add(*(each.cpu[number_of_cpu] for each in measured))
            times = [await latencies(each.implementation, sizes.one_at_a_time) for each in candidates]
            p50.add(*(percentile(each, 50) for each in times))
            p99.add(*(percentile(each, 99) for each in times))
    return [rate, *cpus, p50, p99]


async def throughput(
    env: BenchmarkEnvironment, candidate: Candidate, number: int, at_once: int
) -> Throughput:
    """Send `number` requests, `at_once` of them concurrently, and wait until each workflow is idle."""
    places = asyncio.Semaphore(at_once)

    async def request() -> str:
        async with places:
            return await candidate.implementation.request()

    before, begun = await env.servers.usage_with(*candidate.workers), datetime.now(UTC)
    ids = await asyncio.gather(*(request() for _ in range(number)))
    # The check comes after all responses; it returns the time that each workflow stored when it became idle.
    asleep = [await candidate.implementation.idle_since(workflow_id) for workflow_id in ids]
    after = await env.servers.usage_with(*candidate.workers)
    seconds = (max(asleep) - begun).total_seconds()
    return Throughput(number / seconds, after.milliseconds_each(before, number))


async def latencies(implementation: Implementation, number: int) -> list[float]:
    """Return response times in milliseconds; each request starts after the previous workflow is idle."""
    milliseconds = []
    for _ in range(number):
        begun = time.perf_counter()
        workflow_id = await implementation.request()
        milliseconds.append((time.perf_counter() - begun) * 1000)
        await implementation.idle_since(workflow_id)
    return milliseconds
