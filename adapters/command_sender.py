"""Commands as workflow updates, with idempotency by command ID (R22)."""

import asyncio
import hashlib
import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from adapters.postgres.command_answers import stored_answer
from adapters.postgres.price_book_repository import load_price_book
from adapters.postgres.read_only_pool import Reader
from adapters.postgres.recorded_subscription import snapshot
from adapters.temporal.retry import LONGEST_PAUSE_SECONDS, with_retries
from adapters.temporal.rpc_errors import Outcome, outcome_of
from subscription.activity_contracts import StoredAnswerInput, StoredAnswerResult
from subscription.business_calendar import KST
from subscription.commands import Command
from subscription.decide import decide
from subscription.idempotency import ID_REUSED
from subscription.ids import WORKFLOW_ID_PREFIX, is_subscription_id
from subscription.refusals import Refusal, RefusalCode, RefusalError, refusal
from subscription.timeline import Answer


class WorkflowMissingError(Exception):
    """The subscription is active in the database, but its workflow is missing in this Temporal namespace."""


@dataclass(frozen=True)
class Settle:
    """The update `settle`, which only processes due deadlines and is no command."""

    at: datetime | None
    name: ClassVar[str] = "settle"


class CommandSender:
    """Sender of commands to any subscription: the caller has checked access. `reader` reads the database."""

    def __init__(self, temporal: Client, reader: Reader) -> None:
        self._temporal = temporal
        self._reader = reader

    async def send(self, subscription_id: str, command: Command) -> Answer:
        """Send a command and return its answer; raises `RefusalError` or `WorkflowMissingError`."""
        if command.id is None:
            return await self._update(subscription_id, command, str(uuid.uuid4()))
        # Temporal returns the original result, even a refusal, for each update with a known update ID,
        # without comparing arguments. So the update ID includes a hash of the command, and a refused command
        # is sent again with a new update ID, to be decided again (R22).
        update_id = _update_id(command)
        try:
            return await self._update(subscription_id, command, update_id)
        except RefusalError:
            return await self._update(subscription_id, command, f"{update_id}/{uuid.uuid4()}")

    async def settle(self, subscription_id: str, at: datetime | None = None) -> None:
        """Return when all deadlines due by the subscription's clock (or `at`, if simulated) are processed."""
        try:
            await self._update(subscription_id, Settle(at), str(uuid.uuid4()))
        except RefusalError as refusal:
            if refusal.refused.code is not RefusalCode.SUBSCRIPTION_ENDED:
                raise

    async def _update(self, subscription_id: str, sent: Command | Settle, update_id: str) -> Answer:
        if not is_subscription_id(subscription_id):
            raise refusal(RefusalCode.SUBSCRIPTION_NOT_FOUND, "subscription_id")
        handle = self._temporal.get_workflow_handle(WORKFLOW_ID_PREFIX + subscription_id)
        argument = _argument_of(sent)
        while True:
            try:
                answer: Answer = await with_retries(
                    lambda: handle.execute_update(sent.name, argument, id=update_id, result_type=Answer)
                )
            except WorkflowUpdateFailedError as error:
                refused = refusal_in(error)
                if refused.code is RefusalCode.SUBSCRIPTION_ENDED:
                    return await self._answer_from_database(subscription_id, sent, refused)
                if refused.code is RefusalCode.NOT_YET_STARTED and await snapshot(
                    self._reader, subscription_id
                ):
                    # The trial is already recorded in the database, but the workflow has not adopted it yet.
                    await asyncio.sleep(LONGEST_PAUSE_SECONDS)
                    continue
                raise RefusalError(refused) from None
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND or outcome_of(error) is not Outcome.REFUSED:
                    raise
                return await self._answer_from_database(subscription_id, sent)
            return answer

    async def _answer_from_database(
        self, subscription_id: str, sent: Command | Settle, refused: Refusal | None = None
    ) -> Answer:
        """Answer without a workflow: return the original answer, or raise the refusal for the last state.

        `refused` is the refusal that the workflow returned just before it closed. It is raised if the
        database does not yet contain the end of the subscription.
        """
        state = await snapshot(self._reader, subscription_id)
        if state is None:
            raise refusal(RefusalCode.SUBSCRIPTION_NOT_FOUND, "subscription_id")
        if isinstance(sent, Settle):
            raise refusal(RefusalCode.SUBSCRIPTION_ENDED)
        earlier = await self._original_answer(subscription_id, sent)
        if earlier.reused:
            raise RefusalError(ID_REUSED)
        if earlier.answer is not None:
            return earlier.answer
        decision = decide(state, sent, datetime.now(KST), await load_price_book(self._reader))
        if isinstance(decision, Refusal):
            raise RefusalError(decision)
        if refused is not None:
            raise RefusalError(refused)
        raise WorkflowMissingError(
            f"Subscription {subscription_id} is {state.state} in the database, "
            "but Temporal has no workflow for it."
        )

    async def _original_answer(self, subscription_id: str, command: Command) -> StoredAnswerResult:
        """Return the original answer to this command, if its ID was accepted before (R22)."""
        if command.id is None:
            return StoredAnswerResult()
        return await stored_answer(
            self._reader,
            StoredAnswerInput(
                subscription_id=subscription_id, command_id=command.id, fingerprint=command.fingerprint()
            ),
        )


def _argument_of(sent: Command | Settle) -> dict[str, Any]:
    if isinstance(sent, Settle):
        return {"at": sent.at.isoformat()} if sent.at else {}
    return sent.model_dump(mode="json", exclude_unset=True)


def _update_id(command: Command) -> str:
    body = json.dumps([command.name, _argument_of(command)], sort_keys=True)
    return f"{command.id}/{hashlib.sha256(body.encode()).hexdigest()[:16]}"


def refusal_in(error: WorkflowUpdateFailedError | WorkflowFailureError) -> Refusal:
    """Return the refusal that the workflow raised; raise any other error unchanged."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.details:
        return Refusal.model_validate(cause.details[0])
    raise error
