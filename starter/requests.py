"""Subscription requests, with idempotency by request ID (R9)."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowUpdateFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from adapters.command_sender import refusal_in
from adapters.postgres.read_only_pool import Reader
from adapters.temporal.retry import with_retries
from starter.request_context import RequestContext, load_request_context
from subscription.business_calendar import KST, day_of
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.refusals import Refusal, RefusalCode, RefusalError, refusal
from subscription.request import ParsedRequest, Request, name_taken_refusal, too_many_trials_refusal
from subscription.summary_card import workflow_summary
from subscription.timeline import RequestAnswer

_REQUEST_IDS = uuid.UUID("6f3c5b0e-6f0a-5d0b-9a55-6e6176657277")


def subscription_id_for(request_id: str) -> str:
    """Derive the subscription ID from the request ID, so that a request can be repeated safely (R9)."""
    return str(uuid.uuid5(_REQUEST_IDS, request_id))


class RequestSubmitter:
    def __init__(self, temporal: Client, reader: Reader, task_queue: str) -> None:
        self._temporal = temporal
        self._reader = reader
        self._task_queue = task_queue

    async def request(self, data: Mapping[str, Any]) -> RequestAnswer:
        """Submit a request and return its answer when the trial has started; raises `RefusalError`."""
        parsed = ParsedRequest.parse(dict(data))
        while True:
            context = await self._load_context(parsed)
            if (previous := _previous_answer(context)) is not None:
                return previous
            request = _validate(parsed, context)
            refused = _recorded_refusal(request, context)
            # If the same request is already running, wait for its answer: it may be accepted later.
            if refused and not await self._is_running(request):
                raise refused
            try:
                answer = await self._start(data, request)
            except RefusalError as refusal:
                # Another process may have submitted the same request concurrently.
                if refusal.refused.code is not RefusalCode.REQUEST_ID_REUSED:
                    raise
                if (previous := _previous_answer(await self._load_context(parsed))) is not None:
                    return previous
                raise
            if answer is not None:
                return answer

    async def check(self, data: Mapping[str, Any]) -> Refusal | None:
        """Validate a request without submitting it; return the refusal, or None if it is valid now."""
        parsed = ParsedRequest.parse(dict(data))
        context = await self._load_context(parsed)
        try:
            if _previous_answer(context) is None and (
                refused := _recorded_refusal(_validate(parsed, context), context)
            ):
                raise refused
        except RefusalError as refusal:
            return refusal.refused
        return None

    async def _is_running(self, request: Request) -> bool:
        handle = self._temporal.get_workflow_handle(
            WORKFLOW_ID_PREFIX + subscription_id_for(request.request_id)
        )
        try:
            return (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return False

    async def _load_context(self, parsed: ParsedRequest) -> RequestContext:
        return await load_request_context(self._reader, parsed.request)

    async def _start(self, data: Mapping[str, Any], request: Request) -> RequestAnswer | None:
        """Start the workflow and return its answer.

        Return None if the workflow of an earlier, refused request with the same ID was still closing.
        """
        workflow_id = WORKFLOW_ID_PREFIX + subscription_id_for(request.request_id)
        fingerprint = request.fingerprint()

        async def start_and_update() -> RequestAnswer:
            start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
                "SubscriptionWorkflow",
                dict(data),
                id=workflow_id,
                task_queue=self._task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                static_summary=workflow_summary(request),
            )
            answer: RequestAnswer = await self._temporal.execute_update_with_start_workflow(
                "request",
                fingerprint,
                start_workflow_operation=start,
                id=fingerprint,
                result_type=RequestAnswer,
            )
            return answer

        try:
            return await with_retries(start_and_update)
        except WorkflowUpdateFailedError as error:
            refused = refusal_in(error)
            if refused.code is not RefusalCode.SUBSCRIPTION_ENDED:
                raise RefusalError(refused) from None
            await self._temporal.get_workflow_handle(workflow_id).result()
            return None


def _previous_answer(context: RequestContext) -> RequestAnswer | None:
    """Return the original answer to a request that was accepted before, or None (idempotency, R9)."""
    earlier = context.earlier
    if earlier is None:
        return None
    if not earlier.same:
        raise refusal(RefusalCode.REQUEST_ID_REUSED, "request_id")
    return earlier.answer


def _validate(parsed: ParsedRequest, context: RequestContext) -> Request:
    """Return the valid request before a workflow is started; raises `RefusalError`."""
    request = parsed.validate(context.book, _requested_at(parsed))
    if isinstance(request, Refusal):
        raise RefusalError(request)
    return request


def _recorded_refusal(request: Request, context: RequestContext) -> RefusalError | None:
    """Return the refusal because of recorded subscriptions, or None.

    Another one holds the account name (R5), or the customer has too many in trial (R2). The activity
    `provision_subscription` decides both again in its transaction.
    """
    catalogue = context.book.in_force(day_of(_requested_at(request)))
    assert catalogue is not None, "a request is refused while nothing is on sale"
    if refused := too_many_trials_refusal(catalogue, context.trials):
        return RefusalError(refused)
    if context.holder in (None, subscription_id_for(request.request_id)):
        return None
    return RefusalError(name_taken_refusal(request.account.account.kind))


def _requested_at(request: Request | ParsedRequest) -> datetime:
    return request.simulated_at or datetime.now(KST)
