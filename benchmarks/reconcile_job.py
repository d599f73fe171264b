"""Runs of the nightly reconciliation over all existing subscriptions."""

import asyncio
import time
import uuid
from dataclasses import astuple, dataclass

from activities.reconciliation.scope import CLOCK_DIFFERENCE
from adapters.temporal.client import TASK_QUEUE
from benchmarks.environment import BenchmarkEnvironment
from benchmarks.polling import wait_for
from benchmarks.worker_processes import WorkerProcess
from subscription.reconciliation import ReconcileReport

_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Reconciled:
    seconds: float
    cpu_milliseconds: float
    """Processor time of the worker, Temporal and PostgreSQL for each subscription."""
    memory_bytes: int
    """The worker's peak memory, sampled twice a second."""
    report: ReconcileReport

    @property
    def milliseconds(self) -> float:
        """Return the time for each subscription."""
        return self.seconds * 1000 / self.report.checked


async def reconcile(env: BenchmarkEnvironment, *, query_all: bool = False) -> Reconciled:
    """Reconcile with a fresh worker and no grace period, so that it also checks new subscriptions.

    It must find nothing. What exists counts as unchanged by the next run.
    """
    async with env.our_worker() as worker:
        before = await env.servers.usage_with(worker)
        begun = time.perf_counter()
        running = asyncio.create_task(
            env.temporal.execute_workflow(
                "ReconcileWorkflow",
                {"grace_minutes": 0, "query_all": query_all},
                id=f"reconcile-{uuid.uuid4()}",
                task_queue=TASK_QUEUE,
                result_type=ReconcileReport,
            )
        )
        peak = await _peak_memory(worker, running)
        seconds, report = time.perf_counter() - begun, await running
        after = await env.servers.usage_with(worker)
    if report.by_code:
        raise RuntimeError(f"Reconciliation has findings in a consistent system: {dict(report.by_code)}.")
    await _pretend_night_passed(env)
    cpu = sum(astuple(after)) - sum(astuple(before))
    return Reconciled(seconds, cpu * 1000 / report.checked, peak, report)


async def _pretend_night_passed(env: BenchmarkEnvironment) -> None:
    """Let nothing count as changed since the latest run, and wait until Temporal lists it."""
    finished_by = await env.owner.fetchval(
        """
        UPDATE reconciliations SET started_at = clock_timestamp() + $1
         WHERE finished_at = (SELECT max(finished_at) FROM reconciliations) RETURNING finished_by
        """,
        CLOCK_DIFFERENCE,
    )
    query = f"RunId = '{finished_by}' AND ExecutionStatus = 'Completed'"

    async def is_listed() -> bool:
        return (await env.temporal.count_workflows(query)).count > 0

    await wait_for(is_listed)


async def _peak_memory(worker: WorkerProcess, running: "asyncio.Task[ReconcileReport]") -> int:
    peak = 0
    while not running.done():
        peak = max(peak, (await worker.usage()).memory_bytes)
        await asyncio.wait({running}, timeout=_POLL_SECONDS)
    return peak
