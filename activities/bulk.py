"""Activities of a bulk run: load its list, send each command once, store outcomes."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError

from adapters.command_sender import CommandSender, WorkflowMissingError
from adapters.postgres import bulk_runs
from adapters.postgres.bulk_runs import BulkCommand
from adapters.postgres.pool import Pool
from adapters.postgres.recorded_subscription import snapshot
from subscription.bulk import (
    BulkCommandSent,
    BulkItems,
    BulkOutcome,
    BulkProgress,
    LoadBulkItems,
    RecordBulkState,
    SendBulkCommand,
    command_id,
    parse_bulk_command,
)
from subscription.bulk_effects import addressed
from subscription.issuer import Channel
from subscription.refusals import Refusal, RefusalCode, RefusalError

NO_ANSWER = "NO_ANSWER"
"""Code of a subscription whose workflow has not answered for ANSWER_TIMEOUT."""
ANSWER_TIMEOUT = timedelta(minutes=2)
_ATTEMPT_SECONDS = 30


class BulkActivities:
    def __init__(self, pool: Pool, client: Client) -> None:
        self._pool = pool
        self._sender = CommandSender(client, pool)

    @activity.defn
    async def load_bulk_items(self, input: LoadBulkItems) -> BulkItems:
        """Return the next subscriptions of the fixed list that have no outcome yet."""
        return await bulk_runs.load_items(self._pool, input.run_id, input.after, input.limit)

    @activity.defn
    async def record_bulk_state(self, input: RecordBulkState) -> BulkProgress:
        """Store the state of a run, and return its progress."""
        return await bulk_runs.record_state(self._pool, input.run_id, input.state)

    @activity.defn
    async def send_bulk_command(self, input: SendBulkCommand) -> BulkCommandSent:
        """Send a command and store its outcome.

        The command ID follows from the run, so a retry gets the original answer (R22). A worker that is
        killed between the answer and the outcome therefore repeats neither.
        """
        sent = await bulk_runs.load_command(self._pool, input.run_id, input.position)
        if sent is None:
            return BulkCommandSent(outcome=BulkOutcome.REFUSED)
        if sent.outcome:
            return BulkCommandSent(outcome=sent.outcome)
        outcome, code = await self._outcome(input.run_id, sent)
        await bulk_runs.record_outcome(self._pool, input.run_id, input.position, outcome, code)
        return BulkCommandSent(outcome=outcome)

    async def _outcome(self, run_id: str, sent: BulkCommand) -> tuple[BulkOutcome, str | None]:
        # After a cancellation for today the account is erased, so the same command cannot be built again.
        if sent.accepted:
            return BulkOutcome.ACCEPTED, None
        state = await snapshot(self._pool, sent.subscription_id)
        if state is None:
            return BulkOutcome.REFUSED, RefusalCode.SUBSCRIPTION_NOT_FOUND
        parsed = parse_bulk_command(sent.name, json.loads(sent.argument))
        if isinstance(parsed, Refusal):
            return BulkOutcome.REFUSED, parsed.code
        command = addressed(parsed, state).model_copy(
            update={
                "id": command_id(run_id),
                "by": sent.issued_by,
                "channel": Channel.BULK,
                "expects": sent.expected,
            }
        )
        try:
            async with asyncio.timeout(_ATTEMPT_SECONDS):
                await self._sender.send(sent.subscription_id, command)
        except RefusalError as error:
            return BulkOutcome.REFUSED, error.refused.code
        except WorkflowMissingError:
            return BulkOutcome.UNANSWERED, "WORKFLOW_MISSING"
        except (TimeoutError, RPCError):
            # An outage of Temporal also stops this activity. A failure that lasts is of this workflow alone.
            if datetime.now(UTC) - activity.info().scheduled_time < ANSWER_TIMEOUT:
                raise
            return BulkOutcome.UNANSWERED, NO_ANSWER
        return BulkOutcome.ACCEPTED, None
