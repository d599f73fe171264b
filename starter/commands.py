"""Commands as workflow updates, with idempotency by command ID (R22)."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.rpc_errors import Outcome, outcome_of
from starter.read_model import ReadModel, no_such_subscription
from starter.retry import LONGEST_PAUSE_SECONDS, with_retries
from subscription.business_calendar import KST
from subscription.commands import parse_command
from subscription.decide import decide
from subscription.idempotency import ID_REUSED
from subscription.ids import WORKFLOW_ID_PREFIX, is_subscription_id
from subscription.refusals import Refusal, RefusalCode, RefusalError, refusal
from subscription.timeline import Answer


class WorkflowMissingError(Exception):
    """The subscription is active in the database, but its workflow is missing in this Temporal namespace."""


class CommandSender:
    def __init__(self, temporal: Client, read: ReadModel) -> None:
        self._temporal = temporal
        self._read = read

    async def command(self, subscription_id: str, name: str, argument: Any) -> Answer:
        """Send a command and return its answer; raises `RefusalError` or `WorkflowMissingError`.

        Invalid arguments are refused here with a code. Temporal's own size limits would fail without a code.
        """
        command = parse_command(name, argument)
        if isinstance(command, Refusal):
            raise RefusalError(command)
        if not isinstance(argument, Mapping) or argument.get("id") is None:
            return await self._update(subscription_id, name, argument, str(uuid.uuid4()))
        # Temporal returns the original result, even a refusal, for each update with a known update ID,
        # without comparing arguments. So the update ID includes a hash of the command, and a refused command
        # is sent again with a new update ID, to be decided again (R22).
        update_id = _update_id(name, argument)
        try:
            return await self._update(subscription_id, name, argument, update_id)
        except RefusalError:
            return await self._update(subscription_id, name, argument, f"{update_id}/{uuid.uuid4()}")

    async def settle(self, subscription_id: str, at: datetime | None = None) -> None:
        """Return when all deadlines due by the subscription's clock (or `at`, if simulated) are processed."""
        try:
            await self._update(
                subscription_id, "settle", {"at": at.isoformat()} if at else {}, str(uuid.uuid4())
            )
        except RefusalError as refusal:
            if refusal.refused.code is not RefusalCode.SUBSCRIPTION_ENDED:
                raise

    async def _update(self, subscription_id: str, name: str, argument: Any, update_id: str) -> Answer:
        if not is_subscription_id(subscription_id):
            raise no_such_subscription()
        handle = self._temporal.get_workflow_handle(WORKFLOW_ID_PREFIX + subscription_id)
        while True:
            try:
                answer: Answer = await with_retries(
                    lambda: handle.execute_update(name, argument, id=update_id, result_type=Answer)
                )
            except WorkflowUpdateFailedError as error:
                refused = refusal_in(error)
                if refused.code is RefusalCode.SUBSCRIPTION_ENDED:
                    return await self._answer_from_database(subscription_id, name, argument, refused)
                if refused.code is RefusalCode.NOT_YET_STARTED and await self._read.snapshot(subscription_id):
                    # The trial is already recorded in the database, but the workflow has not adopted it yet.
                    await asyncio.sleep(LONGEST_PAUSE_SECONDS)
                    continue
                raise RefusalError(refused) from None
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND or outcome_of(error) is not Outcome.REFUSED:
                    raise
                return await self._answer_from_database(subscription_id, name, argument)
            return answer

    async def _answer_from_database(
        self, subscription_id: str, name: str, argument: Any, refused: Refusal | None = None
    ) -> Answer:
        """Answer without a workflow: return the original answer, or raise the refusal for the last state.

        `refused` is the refusal that the workflow returned just before it closed. It is raised if the
        database does not yet contain the end of the subscription.
        """
        state = await self._read.get_snapshot(subscription_id)
        if name == "settle":
            raise refusal(RefusalCode.SUBSCRIPTION_ENDED)
        command = parse_command(name, argument)
        if isinstance(command, Refusal):
            raise RefusalError(command)
        earlier = await self._read.answer(subscription_id, command)
        if earlier.reused:
            raise RefusalError(ID_REUSED)
        if earlier.answer is not None:
            return earlier.answer
        decision = decide(state, command, datetime.now(KST), await self._read.price_book())
        if isinstance(decision, Refusal):
            raise RefusalError(decision)
        if refused is not None:
            raise RefusalError(refused)
        raise WorkflowMissingError(
            f"Subscription {subscription_id} is {state.state} in the database, "
            "but Temporal has no workflow for it."
        )


def _update_id(name: str, argument: Mapping[str, Any]) -> str:
    body = json.dumps([name, argument], sort_keys=True, default=str)
    return f"{argument['id']}/{hashlib.sha256(body.encode()).hexdigest()[:16]}"


def refusal_in(error: WorkflowUpdateFailedError | WorkflowFailureError) -> Refusal:
    """Return the refusal that the workflow raised; raise any other error unchanged."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.details:
        return Refusal.model_validate(cause.details[0])
    raise error
