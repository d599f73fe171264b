"""One run of the nightly reconciliation over all existing subscriptions."""

import asyncio
import time
import uuid
from dataclasses import dataclass

from adapters.temporal.client import TASK_QUEUE
from benchmarks.environment import BenchmarkEnvironment
from benchmarks.worker_processes import WorkerProcess
from subscription.reconciliation import ReconcileReport

_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Reconciled:
    seconds: float
    memory_bytes: int
    """The worker's peak memory, sampled twice a second."""
    report: ReconcileReport


async def reconcile(env: BenchmarkEnvironment) -> Reconciled:
    """Reconcile with a fresh worker and no grace period, so that it also checks new subscriptions."""
    async with env.our_worker() as worker:
        begun = time.perf_counter()
        running = asyncio.create_task(
            env.temporal.execute_workflow(
                "ReconcileWorkflow",
                {"grace_minutes": 0},
                id=f"reconcile-{uuid.uuid4()}",
                task_queue=TASK_QUEUE,
                result_type=ReconcileReport,
            )
        )
        peak = await _peak_memory(worker, running)
        return Reconciled(time.perf_counter() - begun, peak, await running)


async def _peak_memory(worker: WorkerProcess, running: "asyncio.Task[ReconcileReport]") -> int:
    peak = 0
    while not running.done():
        peak = max(peak, (await worker.usage()).memory_bytes)
        await asyncio.wait({running}, timeout=_POLL_SECONDS)
    return peak
