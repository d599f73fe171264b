"""The nightly comparison, run once over whoever is there."""

import asyncio
import time
import uuid
from dataclasses import dataclass

from adapters.temporal.client import TASK_QUEUE
from benchmarks.environment import Ground
from benchmarks.worker_processes import WorkerProcess
from subscription.reconciliation import ReconcileReport

_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Reconciled:
    seconds: float
    memory_bytes: int
    """The most that the worker had of it, looked at twice a second."""
    report: ReconcileReport


async def reconcile(ground: Ground) -> Reconciled:
    """By a worker that has done nothing before. Whoever has only just begun is looked at too."""
    async with ground.our_worker() as worker:
        begun = time.perf_counter()
        running = asyncio.create_task(
            ground.temporal.execute_workflow(
                "ReconcileWorkflow",
                {"grace_minutes": 0},
                id=f"reconcile-{uuid.uuid4()}",
                task_queue=TASK_QUEUE,
                result_type=ReconcileReport,
            )
        )
        most = await _most_memory(worker, running)
        return Reconciled(time.perf_counter() - begun, most, await running)


async def _most_memory(worker: WorkerProcess, running: "asyncio.Task[ReconcileReport]") -> int:
    most = 0
    while not running.done():
        most = max(most, (await worker.used()).memory_bytes)
        await asyncio.wait({running}, timeout=_LOOK_SECONDS)
    return most
