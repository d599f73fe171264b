"""Runs of the nightly reconciliation over all existing subscriptions."""

import asyncio
import time
from dataclasses import astuple, dataclass

from benchmarks import reconciliation_run
from benchmarks.environment import BenchmarkEnvironment
from benchmarks.worker_processes import WorkerProcess
from subscription.reconciliation import ReconcileReport

_POLL_SECONDS = 0.1
# More than are queried at once, and fewer than a run queries: the memory is that of the job.
_CACHED_WORKFLOWS = 30


@dataclass(frozen=True)
class Reconciled:
    seconds: float
    cpu_milliseconds: float
    """Processor time of the worker, Temporal and PostgreSQL for each subscription."""
    memory_bytes: int
    """The worker's peak memory, sampled ten times a second."""
    report: ReconcileReport

    @property
    def milliseconds(self) -> float:
        """Return the time for each subscription."""
        return self.seconds * 1000 / self.report.checked


async def reconcile(env: BenchmarkEnvironment, *, query_all: bool = False) -> Reconciled:
    """Reconcile with a fresh worker and no grace period, so that it also checks new subscriptions.

    It must find nothing. What exists counts as unchanged by the next run.
    """
    async with env.our_worker(cached_workflows=_CACHED_WORKFLOWS) as worker:
        before = await env.servers.usage_with(worker)
        begun = time.perf_counter()
        running = asyncio.create_task(reconciliation_run.reconcile(env.temporal, query_all=query_all))
        peak = await _peak_memory(worker, running)
        seconds, report = time.perf_counter() - begun, await running
        after = await env.servers.usage_with(worker)
    if report.by_code:
        raise RuntimeError(f"Reconciliation has findings in a consistent system: {dict(report.by_code)}.")
    await reconciliation_run.pretend_night_passed(env.temporal, env.owner)
    cpu = sum(astuple(after)) - sum(astuple(before))
    return Reconciled(seconds, cpu * 1000 / report.checked, peak, report)


async def _peak_memory(worker: WorkerProcess, running: "asyncio.Task[ReconcileReport]") -> int:
    peak = 0
    while not running.done():
        peak = max(peak, (await worker.usage()).memory_bytes)
        await asyncio.wait({running}, timeout=_POLL_SECONDS)
    return peak
