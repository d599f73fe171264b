"""The nightly reconciliation of a few and of many subscriptions, compared with a query of every workflow."""

import statistics

from benchmarks.environment import BenchmarkEnvironment
from benchmarks.idle_subscriptions import IdleSubscriptions
from benchmarks.metrics import TIMES, Figure
from benchmarks.reconcile_job import Reconciled, reconcile
from benchmarks.reconciliation_run import pretend_night_passed
from benchmarks.workload import Sizes


async def nightly_reconciliation(env: BenchmarkEnvironment, sizes: Sizes) -> list[Figure]:
    few, half, many = max(sizes.nights // 10, 1), max(sizes.nights // 2, 1), sizes.nights
    complete = Figure(f"reconciliation time of each of {few:,}, with a query of every workflow", "ms")
    complete_cpu = Figure(
        f"reconciliation CPU of each of {few:,}, with a query of every workflow, all processes", "ms"
    )
    total = Figure(f"nightly reconciliation of {many:,} subscriptions", "s")
    each = [Figure(f"reconciliation time of each of {number:,}", "ms", 1.2) for number in (few, half, many)]
    each_cpu = [
        Figure(f"reconciliation CPU of each of {number:,}, all processes", "ms")
        for number in (few, half, many)
    ]
    queried = Figure(f"reconciliation of {many:,} subscriptions: queried workflows")
    flat = Figure(f"reconciliation memory, {many:,} subscriptions against {few:,}", TIMES, 1.1)

    subscriptions = IdleSubscriptions(env)
    memory = []
    for number, milliseconds, cpu in zip((few, half, many), each, each_cpu, strict=True):
        env.on_progress(f"Starting {number:,} idle workflows…")
        await subscriptions.grow_to(number)
        env.on_progress(f"Reconciling {number:,}…")
        if number == few:
            first = await reconcile(env, query_all=True)
            complete.add(first.milliseconds)
            complete_cpu.add(first.cpu_milliseconds)
        else:
            await pretend_night_passed(env.temporal, env.owner)
        nights = [await reconcile(env) for _ in range(sizes.rounds)]
        for night in nights:
            milliseconds.add(night.milliseconds)
            cpu.add(night.cpu_milliseconds)
        memory.append(_median_memory(nights))
    for night in nights:
        total.add(night.seconds)
        queried.add(night.report.queried)
    flat.add(memory[-1] / memory[0])
    return [complete, complete_cpu, total, *each, *each_cpu, queried, flat]


def _median_memory(nights: list[Reconciled]) -> float:
    return statistics.median(night.memory_bytes for night in nights)
