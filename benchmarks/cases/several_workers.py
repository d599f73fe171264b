"""Throughput of requests with 1, 2 and 4 worker processes, and the cores that each process uses meanwhile.

All processes share the cores of this machine with the servers and the driver. The result therefore shows what
another worker adds here, and which server limits the rate; more machines would have other limits.
"""

from contextlib import AsyncExitStack

from benchmarks.cases.request_throughput import Candidate, throughput
from benchmarks.environment import BenchmarkEnvironment
from benchmarks.metrics import Figure
from benchmarks.workload import Sizes

_NUMBERS = (1, 2, 4)
_PARTS = ("the workers", "Temporal", "PostgreSQL")


async def several_workers(env: BenchmarkEnvironment, sizes: Sizes) -> list[Figure]:
    figures = []
    for number in (number for number in _NUMBERS if number <= sizes.most_workers):
        processes = "1 worker process" if number == 1 else f"{number} worker processes"
        rate = Figure(f"settled requests with {processes}", "1/s")
        cores = [Figure(f"cores used by {part} with {processes}") for part in _PARTS]
        async with AsyncExitStack() as running:
            ours, plain = [
                Candidate(
                    implementation,
                    tuple([await running.enter_async_context(start()) for _ in range(number)]),
                )
                for implementation, start in ((env.ours, env.our_worker), (env.plain, env.plain_worker))
            ]
            for candidate in (ours, plain):
                await throughput(env, candidate, sizes.warm_up, sizes.at_once)
            for current in range(1, sizes.rounds + 1):
                env.on_progress(f"Requests with {processes}, round {current} of {sizes.rounds}…")
                of_ours, of_plain = [
                    await throughput(env, candidate, sizes.requests, sizes.at_once)
                    for candidate in (ours, plain)
                ]
                rate.add(of_ours.rate, of_plain.rate)
                for figure, our_cores, plain_cores in zip(cores, of_ours.cores, of_plain.cores, strict=True):
                    figure.add(our_cores, plain_cores)
        figures += [rate, *cores]
    return figures
