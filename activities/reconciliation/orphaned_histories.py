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
from adapters.temporal.executions import list_runs_page
from adapters.temporal.visibility import quote_visibility_value
from subscription.ids import WORKFLOW_ID_PREFIX, is_subscription_id
from subscription.state import State

_PAGE_SIZE = 200


@dataclass(frozen=True)
class OrphanedHistory:
    """Closed runs that should have been deleted. `is_unrecorded`: the database lacks the subscription.

    An unrecorded history may be the only data of a subscription, so it must not be deleted.
    """

    subscription_id: str
    run_ids: tuple[str, ...]
    is_unrecorded: bool

    @property
    def workflow_id(self) -> str:
        return WORKFLOW_ID_PREFIX + self.subscription_id


async def orphaned_history_page(
    client: Client, pool: Pool, task_queue: str, grace: timedelta, after: str, batch: Batch
) -> tuple[list[OrphanedHistory], str | None]:
    """Return the orphaned histories in a page of closed runs, and the cursor of the next page."""
    # A running workflow may still be deleting its own histories.
    query = (
        f"WorkflowType = 'SubscriptionWorkflow' AND TaskQueue = {quote_visibility_value(task_queue)} "
        "AND CloseTime IS NOT NULL"
    )
    runs, next_after = await list_runs_page(client, query, after, _PAGE_SIZE)
    return await _orphaned_histories(client, pool, runs, grace, batch), next_after


async def time_since_erasure(pool: Pool, ids: Collection[str]) -> Mapping[str, timedelta | None]:
    """Return the time since erasure of each subscription in the database; None for one not erased."""
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


async def _orphaned_histories(
    client: Client, pool: Pool, runs: Sequence[Run], grace: timedelta, batch: Batch
) -> list[OrphanedHistory]:
    closed_before = datetime.now(UTC) - grace
    closed: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if run.close_time and run.close_time <= closed_before:
            closed[run.id.removeprefix(WORKFLOW_ID_PREFIX)].append(run)
    known = await time_since_erasure(pool, closed)
    orphans = []
    for subscription_id, its_runs in closed.items():
        is_unrecorded = subscription_id not in known and any(map(_was_subscription, its_runs))
        runs = its_runs if is_unrecorded else [run for run in its_runs if not _is_cleanup_run(run)]
        if not runs:
            continue
        if subscription_id in known:
            age = known[subscription_id]
            if age is None or age <= grace:
                continue
        elif await batch.run_member(subscription_id, _is_running(client, its_runs[0].id)) is not False:
            continue
        orphans.append(OrphanedHistory(subscription_id, tuple(run.run_id for run in runs), is_unrecorded))
    return orphans


def _is_cleanup_run(run: Run) -> bool:
    """Return whether this run is the cleanup run, which deleted the others and has no personal data."""
    return run.status is WorkflowExecutionStatus.COMPLETED and "AccountName" not in _search_attributes(run)


def _was_subscription(run: Run) -> bool:
    """Return whether the run belongs to a provisioned subscription; a refused request has no state."""
    return _search_attributes(run).get("SubscriptionState") not in (None, State.REJECTED)


def _search_attributes(run: Run) -> Mapping[str, Any]:
    return {pair.key.name: pair.value for pair in run.typed_search_attributes}


async def _is_running(client: Client, workflow_id: str) -> bool:
    try:
        described = await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return described.status is WorkflowExecutionStatus.RUNNING
