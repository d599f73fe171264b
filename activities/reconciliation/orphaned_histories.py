"""Histories of erased or rejected subscriptions that should have been deleted (R31)."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.client import WorkflowExecution as Run
from temporalio.service import RPCError, RPCStatusCode

from activities.batch import Batch
from adapters.postgres.pool import Pool
from adapters.temporal.executions import list_runs_page, quote_visibility_value
from subscription.ids import WORKFLOW_ID_PREFIX, is_subscription_id
from subscription.state import State

_A_PAGE = 200


@dataclass(frozen=True)
class OrphanedHistory:
    """Runs of one subscription that should have none; `lost` if it was one that the record does not have.

    What is lost may be all that is left of a subscription, so it is no leftover to be deleted.
    """

    subscription_id: str
    run_ids: tuple[str, ...]
    lost: bool

    @property
    def workflow_id(self) -> str:
        return WORKFLOW_ID_PREFIX + self.subscription_id


async def leftover_page(
    client: Client, pool: Pool, task_queue: str, grace: timedelta, after: str, batch: Batch
) -> tuple[list[OrphanedHistory], str | None]:
    """What is left among a page of closed runs, and where the next page begins; None if there is none."""
    # A running one has not ended its own clearing away.
    query = (
        f"WorkflowType = 'SubscriptionWorkflow' AND TaskQueue = {quote_visibility_value(task_queue)} "
        "AND CloseTime IS NOT NULL"
    )
    runs, next_after = await list_runs_page(client, query, after, _A_PAGE)
    return await _left(client, pool, runs, grace, batch), next_after


async def erased_since(pool: Pool, ids: Collection[str]) -> Mapping[str, timedelta | None]:
    """Those of the subscriptions that the record has, each with how long ago it was erased, if it was."""
    rows = await pool.fetch(
        """
        SELECT subscriptions.subscription_id, clock_timestamp() - certificate.recorded_at AS age
          FROM subscriptions LEFT JOIN erasure_certificates AS certificate
               ON certificate.subscription_id = subscriptions.subscription_id AND part = 'DATABASE'
         WHERE subscriptions.subscription_id = ANY($1)
        """,
        [subscription_id for subscription_id in ids if is_subscription_id(subscription_id)],
    )
    return {row["subscription_id"]: row["age"] for row in rows}


async def _left(
    client: Client, pool: Pool, runs: Sequence[Run], grace: timedelta, batch: Batch
) -> list[OrphanedHistory]:
    long_ago = datetime.now(UTC) - grace
    closed: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if run.close_time and run.close_time <= long_ago:
            closed[run.id.removeprefix(WORKFLOW_ID_PREFIX)].append(run)
    known = await erased_since(pool, closed)
    left = []
    for subscription_id, of_it in closed.items():
        lost = subscription_id not in known and any(map(_was_subscription, of_it))
        runs = of_it if lost else [run for run in of_it if not _is_last(run)]
        if not runs:
            continue
        if subscription_id in known:
            age = known[subscription_id]
            if age is None or age <= grace:
                continue
        elif await batch.alone(subscription_id, _is_running(client, of_it[0].id)) is not False:
            continue
        left.append(OrphanedHistory(subscription_id, tuple(run.run_id for run in runs), lost))
    return left


def _is_last(run: Run) -> bool:
    """A last run has deleted the others before it completed, and names nobody."""
    return run.status is WorkflowExecutionStatus.COMPLETED and "AccountName" not in _shown(run)


def _was_subscription(run: Run) -> bool:
    """A request that was refused never showed a state. One that was erased does."""
    return _shown(run).get("SubscriptionState") not in (None, State.REJECTED)


def _shown(run: Run) -> Mapping[str, Any]:
    return {pair.key.name: pair.value for pair in run.typed_search_attributes}


async def _is_running(client: Client, workflow_id: str) -> bool:
    try:
        described = await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return described.status is WorkflowExecutionStatus.RUNNING
