"""Throughput and response times of requests with autoscaled pollers, and with a fixed number of them.

Both use the same task queue, so each measurement has a worker process of its own.
"""

import statistics

from benchmarks.cases.request_throughput import Candidate, latencies, throughput
from benchmarks.environment import BenchmarkEnvironment
from benchmarks.metrics import TIMES, Figure
from benchmarks.workload import Sizes


async def poller_autoscaling(env: BenchmarkEnvironment, sizes: Sizes) -> list[Figure]:
    kinds = {"poller autoscaling": "autoscaled", "five pollers": "fixed"}
    rates = {kind: Figure(f"settled requests with {kind}", "1/s") for kind in kinds}
    medians = {kind: Figure(f"response time of a request with {kind}, p50", "ms") for kind in kinds}
    compared = Figure("settled requests, poller autoscaling against five pollers", TIMES, 0.95, at_least=True)
    for current in range(1, sizes.rounds + 1):
        reached = {}
        for kind, pollers in kinds.items():
            env.on_progress(f"Requests with {kind}, round {current} of {sizes.rounds}…")
            async with env.our_worker(pollers=pollers) as worker:
                candidate = Candidate(env.ours, (worker,))
                await throughput(env, candidate, sizes.warm_up, sizes.at_once)
                reached[kind] = (await throughput(env, candidate, sizes.requests, sizes.at_once)).rate
                rates[kind].add(reached[kind])
                medians[kind].add(statistics.median(await latencies(env.ours, sizes.one_at_a_time)))
        compared.add(reached["poller autoscaling"] / reached["five pollers"])
    return [*rates.values(), compared, *medians.values()]
