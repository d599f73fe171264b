"""One run of the nightly reconciliation, for benchmarks and tests."""

import asyncio
import uuid

from temporalio.client import Client

from activities.reconciliation.scope import CLOCK_DIFFERENCE
from adapters.postgres.pool import Pool
from adapters.temporal.client import TASK_QUEUE
from benchmarks.polling import wait_for
from subscription.reconciliation import ReconcileReport

_LISTED_SECONDS = 60


async def reconcile(
    temporal: Client, *, grace_minutes: int = 0, query_all: bool = False, task_queue: str = TASK_QUEUE
) -> ReconcileReport:
    """Run the job once. Without a grace period it also checks what has just changed."""
    report: ReconcileReport = await temporal.execute_workflow(
        "ReconcileWorkflow",
        {"grace_minutes": grace_minutes, "query_all": query_all},
        id=f"reconcile-{uuid.uuid4()}",
        task_queue=task_queue,
        result_type=ReconcileReport,
    )
    return report


async def pretend_night_passed(temporal: Client, owner: Pool) -> None:
    """Let nothing count as changed since the latest run, and wait until Temporal lists this run."""
    finished_by = await owner.fetchval(
        """
        UPDATE reconciliations SET started_at = clock_timestamp() + $1
         WHERE finished_at = (SELECT max(finished_at) FROM reconciliations) RETURNING finished_by
        """,
        CLOCK_DIFFERENCE,
    )
    query = f"RunId = '{finished_by}' AND ExecutionStatus = 'Completed'"

    async def is_listed() -> bool:
        return (await temporal.count_workflows(query)).count > 0

    async with asyncio.timeout(_LISTED_SECONDS):
        await wait_for(is_listed)
