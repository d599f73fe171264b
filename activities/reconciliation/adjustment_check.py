"""Check that every completed adjustment workflow has its ledger line."""

from collections.abc import Sequence
from dataclasses import dataclass

from asyncpg import ForeignKeyViolationError
from pydantic import ValidationError
from temporalio.client import Client
from temporalio.client import WorkflowExecution as Run
from temporalio.service import RPCError, RPCStatusCode

from activities.ledger_adjustments import insert_adjustment
from activities.reconciliation.context import ReconcileContext, SubscriptionCheck, guarded, run_checks
from adapters.postgres.pool import Connection, Pool
from adapters.postgres.subscription_repository import lock_row_and_get_sequence
from subscription.adjustment import Adjustment, AdjustmentRequest
from subscription.reconciliation import FindingCode


@dataclass(frozen=True)
class _CompletedAdjustment:
    """What was asked of a workflow that has made an adjustment, and what it answered."""

    wanted: AdjustmentRequest
    adjustment: Adjustment


async def check_adjustments(means: ReconcileContext, runs: Sequence[Run]) -> list[SubscriptionCheck]:
    """Each of these completed workflows has made one adjustment."""
    return await run_checks(_look(means, run) for run in runs)


async def _look(means: ReconcileContext, run: Run) -> SubscriptionCheck:
    # Until its history is read, only the id of the workflow says what it was about.
    unread = SubscriptionCheck(means.report, run.id)
    read: list[_CompletedAdjustment] = []

    async def reading() -> None:
        if done := await _made_by(means.client, run):
            read.append(done)

    await guarded(unread, reading())
    if not read:
        return unread
    look = SubscriptionCheck(means.report, read[0].wanted.subscription_id)
    return await guarded(look, _look_at(means, look, read[0]))


async def _look_at(means: ReconcileContext, look: SubscriptionCheck, done: _CompletedAdjustment) -> None:
    if await _is_recorded(means.pool, done.wanted):
        return

    async def inserted() -> bool:
        try:
            async with means.pool.acquire() as connection, connection.transaction():
                # The row lock serializes with the activity and with another run of this job.
                await lock_row_and_get_sequence(connection, done.wanted.subscription_id)
                if await _is_recorded(connection, done.wanted):
                    return True
                await insert_adjustment(connection, done.wanted, done.adjustment.effective_at)
        except ForeignKeyViolationError:  # nor does the ledger have the line that it corrects
            return False
        return True

    message = f"The ledger lacks the adjustment {done.wanted.id}."
    await look.finds(FindingCode.ADJUSTMENT_MISSING, message, inserted)


async def _made_by(client: Client, run: Run) -> _CompletedAdjustment | None:
    """None if its history is gone or tells nothing that can be read."""
    handle = client.get_workflow_handle(run.id, run_id=run.run_id)
    try:
        events = (await handle.fetch_history()).events
        started = events[0].workflow_execution_started_event_attributes
        completed = events[-1].workflow_execution_completed_event_attributes
        [wanted] = await client.data_converter.decode(started.input.payloads, [AdjustmentRequest])
        [adjustment] = await client.data_converter.decode(completed.result.payloads, [Adjustment])
    except (ValidationError, ValueError):
        return None
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None
    return _CompletedAdjustment(wanted, adjustment)


async def _is_recorded(connection: Connection | Pool, wanted: AdjustmentRequest) -> bool:
    """Whether the record has it; one of a subscription that it does not have is found with that."""
    found: bool = await connection.fetchval(
        """
        SELECT NOT EXISTS (SELECT 1 FROM subscriptions WHERE subscription_id = $1)
            OR EXISTS (SELECT 1 FROM ledger_adjustments WHERE subscription_id = $1 AND adjustment_id = $2)
        """,
        wanted.subscription_id,
        wanted.id,
    )
    return found
