"""Histories that should be gone: runs of subscriptions that are erased, or that never came to be (R31)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.client import WorkflowExecution as Run
from temporalio.service import RPCError, RPCStatusCode

from activities.database import Pool
from subscription.effects import WORKFLOW_ID_PREFIX

_AT_ONCE = 500
# A completed run is the last one, which names nobody; a running one has not ended its own clearing away.
_MAY_BE_LEFT = (
    "WorkflowType = 'SubscriptionWorkflow' "
    "AND ExecutionStatus != 'Running' AND ExecutionStatus != 'Completed'"
)


@dataclass(frozen=True)
class Leftover:
    """A run that still has a history, of a subscription that should have none."""

    workflow_id: str
    run_id: str

    @property
    def subscription_id(self) -> str:
        return self.workflow_id.removeprefix(WORKFLOW_ID_PREFIX)


async def leftover_histories(client: Client, pool: Pool, grace: timedelta) -> AsyncIterator[Leftover]:
    """All of them, but for what ended less than `grace` ago: its own last run is still clearing it away."""
    page: list[Run] = []
    async for run in client.list_workflows(_MAY_BE_LEFT):
        page.append(run)
        if len(page) == _AT_ONCE:
            for leftover in await _left(pool, page, grace):
                yield leftover
            page = []
            activity.heartbeat()
    for leftover in await _left(pool, page, grace):
        yield leftover


async def delete_history(client: Client, leftover: Leftover) -> None:
    """Delete a run; one that is gone already is no error."""
    try:
        await client.workflow_service.delete_workflow_execution(
            DeleteWorkflowExecutionRequest(
                namespace=client.namespace,
                workflow_execution=WorkflowExecution(
                    workflow_id=leftover.workflow_id, run_id=leftover.run_id
                ),
            )
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def _left(pool: Pool, runs: list[Run], grace: timedelta) -> list[Leftover]:
    long_ago = datetime.now(UTC) - grace
    closed = [run for run in runs if run.close_time and run.close_time <= long_ago]
    living = await pool.fetch(
        """
        SELECT subscription_id FROM subscriptions
         WHERE subscription_id = ANY($1) AND (state != 'ERASED' OR recorded_at > $2)
        """,
        [run.id.removeprefix(WORKFLOW_ID_PREFIX) for run in closed],
        long_ago,
    )
    known = {WORKFLOW_ID_PREFIX + row["subscription_id"] for row in living}
    return [Leftover(run.id, run.run_id) for run in closed if run.id not in known]
