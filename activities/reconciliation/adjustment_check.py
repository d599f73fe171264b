"""Check that every completed adjustment workflow has its ledger line."""

from collections.abc import Sequence
from dataclasses import dataclass

from asyncpg import ForeignKeyViolationError
from pydantic import ValidationError
from temporalio.client import Client
from temporalio.client import WorkflowExecution as Run
from temporalio.service import RPCError, RPCStatusCode

from activities.ledger_adjustments import insert_adjustment
from activities.reconciliation.context import ReconcileContext, SubscriptionCheck, run_check, run_checks
from adapters.postgres.pool import Connection, Pool
from adapters.postgres.subscription_repository import lock_row_and_get_sequence
from subscription.adjustment import Adjustment, AdjustmentRequest
from subscription.reconciliation import FindingCode


@dataclass(frozen=True)
class _CompletedAdjustment:
    """Request and result of a completed adjustment workflow."""

    request: AdjustmentRequest
    adjustment: Adjustment


async def check_adjustments(context: ReconcileContext, runs: Sequence[Run]) -> list[SubscriptionCheck]:
    """Check that the adjustment of each completed workflow is in the ledger."""
    return await run_checks(context, [_check_run(context, run) for run in runs])


async def _check_run(context: ReconcileContext, run: Run) -> SubscriptionCheck:
    # The subscription ID is in the history; until the history is read, only the workflow ID is known.
    unread = SubscriptionCheck(context.report, run.id)
    read: list[_CompletedAdjustment] = []

    async def read_history() -> None:
        if completed_adjustment := await _completed_adjustment(context.client, run):
            read.append(completed_adjustment)

    await run_check(unread, read_history())
    if not read:
        return unread
    check = SubscriptionCheck(context.report, read[0].request.subscription_id)
    return await run_check(check, _check_adjustment(context, check, read[0]))


async def _check_adjustment(
    context: ReconcileContext, check: SubscriptionCheck, completed_adjustment: _CompletedAdjustment
) -> None:
    if await _is_recorded(context.pool, completed_adjustment.request):
        return

    async def insert() -> bool:
        try:
            async with context.pool.acquire() as connection, connection.transaction():
                # The row lock serializes with the activity and with another run of this job.
                await lock_row_and_get_sequence(connection, completed_adjustment.request.subscription_id)
                if await _is_recorded(connection, completed_adjustment.request):
                    return True
                await insert_adjustment(
                    connection, completed_adjustment.request, completed_adjustment.adjustment.effective_at
                )
        except ForeignKeyViolationError:  # the corrected ledger line is missing, too
            return False
        return True

    message = f"The ledger lacks the adjustment {completed_adjustment.request.id}."
    await check.add(FindingCode.ADJUSTMENT_MISSING, message, insert)


async def _completed_adjustment(client: Client, run: Run) -> _CompletedAdjustment | None:
    """Return the adjustment in the history of a run; None if the history is missing or unreadable."""
    handle = client.get_workflow_handle(run.id, run_id=run.run_id)
    try:
        events = (await handle.fetch_history()).events
        started = events[0].workflow_execution_started_event_attributes
        completed = events[-1].workflow_execution_completed_event_attributes
        [request] = await client.data_converter.decode(started.input.payloads, [AdjustmentRequest])
        [adjustment] = await client.data_converter.decode(completed.result.payloads, [Adjustment])
    except (ValidationError, ValueError):
        return None
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None
    return _CompletedAdjustment(request, adjustment)


async def _is_recorded(connection: Connection | Pool, request: AdjustmentRequest) -> bool:
    """Return whether the adjustment is in the ledger; true if the database lacks the subscription itself.

    A missing subscription is found by another check, which also restores it.
    """
    is_recorded: bool = await connection.fetchval(
        """
        SELECT NOT EXISTS (SELECT 1 FROM subscriptions WHERE subscription_id = $1)
            OR EXISTS (SELECT 1 FROM ledger_adjustments WHERE subscription_id = $1 AND adjustment_id = $2)
        """,
        request.subscription_id,
        request.id,
    )
    return is_recorded
