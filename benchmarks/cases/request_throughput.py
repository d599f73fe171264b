"""Requests: how many settle in a second, what each costs the worker, and how soon each is answered."""

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks.environment import Ground
from benchmarks.implementations import Side
from benchmarks.metrics import Figure, percentile
from benchmarks.worker_processes import WorkerProcess
from benchmarks.workload import Sizes


@dataclass(frozen=True)
class _Contestant:
    side: Side
    worker: WorkerProcess


async def requests(ground: Ground, sizes: Sizes) -> list[Figure]:
    rate = Figure("settled requests", "1/s", 1.5, at_least=True, of_ratio=True)
    cpus = [
        Figure("worker CPU per settled request", "ms", 0.5, of_ratio=True),
        Figure("Temporal's CPU per settled request", "ms"),
        Figure("PostgreSQL's CPU per settled request", "ms"),
    ]
    p50 = Figure("latency of a request's answer, p50", "ms", 0.7, of_ratio=True)
    p99 = Figure("latency of a request's answer, p99", "ms", 0.7, of_ratio=True)
    async with AsyncExitStack() as running:
        ours, plain, dbos = [
            await running.enter_async_context(worker)
            for worker in (ground.our_worker(), ground.plain_worker(), ground.dbos_worker())
        ]
        contestants = [
            _Contestant(ground.ours, ours),
            _Contestant(ground.plain, plain),
            _Contestant(running.enter_context(ground.dbos(dbos)), dbos),
        ]
        for contestant in contestants:
            await _throughput(ground, contestant, sizes.warm_up, sizes.at_once)
        for number in range(1, sizes.rounds + 1):
            ground.say(f"Requests, round {number} of {sizes.rounds}…")
            rates, *spent = zip(
                *[await _throughput(ground, each, sizes.requests, sizes.at_once) for each in contestants],
                strict=True,
            )
            rate.add(*rates)
            for cpu, milliseconds in zip(cpus, spent, strict=True):
                cpu.add(*milliseconds)
            latencies = [await _latencies(each.side, sizes.one_at_a_time) for each in contestants]
            p50.add(*(percentile(each, 50) for each in latencies))
            p99.add(*(percentile(each, 99) for each in latencies))
    return [rate, *cpus, p50, p99]


async def _throughput(
    ground: Ground, contestant: _Contestant, number: int, at_once: int
) -> tuple[float, float, float, float]:
    """Settled requests a second, and the CPU milliseconds of the worker, Temporal and PostgreSQL for each."""
    places = asyncio.Semaphore(at_once)

    async def request() -> str:
        async with places:
            return await contestant.side.request()

    before, begun = await ground.servers.spent_with(contestant.worker), datetime.now(UTC)
    ids = await asyncio.gather(*(request() for _ in range(number)))
    # Each is looked at after the answers, and its own record says when it fell asleep.
    asleep = [await contestant.side.asleep_since(workflow_id) for workflow_id in ids]
    after = await ground.servers.spent_with(contestant.worker)
    seconds = (max(asleep) - begun).total_seconds()
    return number / seconds, *after.milliseconds_each(before, number)


async def _latencies(side: Side, number: int) -> list[float]:
    """Milliseconds to the answer, each request alone on the machine: the one before is asleep."""
    latencies = []
    for _ in range(number):
        begun = time.perf_counter()
        workflow_id = await side.request()
        latencies.append((time.perf_counter() - begun) * 1000)
        await side.asleep_since(workflow_id)
    return latencies
