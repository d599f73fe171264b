"""Probe of a subscription's workflow: state, pending failures; restart if needed.

A workflow records a transition before it adopts the new state. A database record that is read after the query
therefore contains every event of the queried state. A workflow that is queried after it has settled has every
event recorded before. A difference is a real inconsistency, not a transition in progress.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.api.enums.v1 import WorkflowExecutionStatus as Status
from temporalio.api.failure.v1 import Failure
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import QueryRejectCondition, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from activities.transitions import RECORD_DIVERGED
from adapters.outages import concerns_all
from adapters.temporal.rpc_errors import Outcome, outcome_of
from subscription.attention import AttentionKind
from subscription.business_calendar import KST
from subscription.catalogue import PriceBook
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.reconciliation import FindingCode
from subscription.search_attributes import NEEDS_ATTENTION_NAME
from subscription.state import Subscription

ANSWER_TIMEOUT = timedelta(seconds=10)
_MIN_TIMEOUT_SECONDS = 1.0
_START_TIMEOUT = timedelta(seconds=30)
_POLL_SECONDS = 0.1
# An activity restarted after a pause fails again within this many polls, if it fails.
_MAX_POLLS = 20
# This many attempts of a workflow task take half a minute.
_MAX_TASK_ATTEMPTS = 4


@dataclass(frozen=True)
class Blocker:
    """Reason why a workflow does not make progress."""

    message: str
    code: FindingCode = FindingCode.WORKFLOW_STUCK
    contradicts_record: bool = False
    never_answers: bool = False
    """Waiting for an answer would time out."""


@dataclass(frozen=True)
class WorkflowStatus:
    """Status of a workflow. `state` is None if it does not answer, is not provisioned, or is in cleanup.

    `closed_as` is the status with which it closed; None while it runs.
    """

    state: Subscription | None = None
    blocker: Blocker | None = None
    closed_as: str | None = None
    reset_at: datetime | None = None
    """Time of a reset, as by `temporal workflow reset`; None if the run did not start by a reset."""

    @property
    def runs(self) -> bool:
        return self.closed_as is None


class WaitBudget:
    """Limits of the time that a page waits for workflows that do not answer: for each answer, and in all."""

    def __init__(self, answer_timeout: timedelta, seconds: float = 300.0) -> None:
        self._answer_seconds = answer_timeout.total_seconds()
        self._remaining = seconds

    @contextmanager
    def waiting(self) -> Iterator[float]:
        """Yield the timeout of this wait in seconds."""
        started_at = time.monotonic()
        try:
            yield min(self._answer_seconds, max(self._remaining, _MIN_TIMEOUT_SECONDS))
        finally:
            self._remaining -= time.monotonic() - started_at


class WorkflowProbe:
    def __init__(self, client: Client, budget: WaitBudget) -> None:
        self._client = client
        self._budget = budget

    async def inspect(self, subscription_id: str) -> WorkflowStatus:
        """Query the workflow for its status. A workflow that cannot be replayed does not answer."""
        described = await self._describe(subscription_id)
        if described is None:
            return WorkflowStatus(closed_as="lost")
        if described.status is not WorkflowExecutionStatus.RUNNING:
            status = described.status.name if described.status else "closed"
            return WorkflowStatus(closed_as=status.lower().replace("_", " "))
        blocker = await self._visible_blocker(described)
        if blocker and blocker.never_answers:
            return WorkflowStatus(blocker=blocker)
        extended = described.raw_description.workflow_extended_info
        reset_at = (
            extended.last_reset_time.ToDatetime(tzinfo=UTC) if extended.HasField("last_reset_time") else None
        )
        return WorkflowStatus(await self._state(subscription_id), blocker, reset_at=reset_at)

    async def _state(self, subscription_id: str) -> Subscription | None:
        state: Subscription | None = await self._answer(subscription_id, "snapshot", Subscription)
        return state

    async def price_book(self, subscription_id: str) -> PriceBook | None:
        """Return the catalogue versions that the workflow knows; None if it does not answer."""
        book: PriceBook | None = await self._answer(subscription_id, "price_book", PriceBook)
        return book

    async def _answer(self, subscription_id: str, query: str, model: type[Any]) -> Any:
        """Return the answer to a query; None if the workflow does not answer."""
        try:
            with self._budget.waiting() as seconds:
                return await self._handle(subscription_id).query(
                    query,
                    result_type=model | None,  # type: ignore[arg-type]
                    reject_condition=QueryRejectCondition.NOT_OPEN,
                    rpc_timeout=timedelta(seconds=seconds),
                )
        except (WorkflowQueryRejectedError, WorkflowQueryFailedError):
            return None
        except RPCError as error:
            if concerns_all(error):
                raise
            return None

    async def settle(self, subscription_id: str) -> bool:
        """Make the workflow process everything due; return whether it answered, even with a refusal."""
        try:
            with self._budget.waiting() as seconds:
                async with asyncio.timeout(seconds):
                    await self._handle(subscription_id).execute_update("settle", {})
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
            return False
        except WorkflowUpdateFailedError as error:
            return outcome_of(error) is not Outcome.RETRY
        except RPCError as error:
            if concerns_all(error):
                raise
            return error.status is RPCStatusCode.NOT_FOUND
        return True

    async def find_blocker(self, subscription_id: str) -> Blocker | None:
        """Return why a workflow does not answer; None if no lasting failure is visible."""
        for _ in range(_MAX_POLLS):
            described = await self._describe(subscription_id)
            if described is None:
                return None
            if blocker := await self._visible_blocker(described):
                return blocker
            await asyncio.sleep(_POLL_SECONDS)
        return None

    async def _visible_blocker(self, described: WorkflowExecutionDescription) -> Blocker | None:
        if (
            described.raw_description.workflow_execution_info.status
            == Status.WORKFLOW_EXECUTION_STATUS_PAUSED
        ):
            return _paused(described)
        for pending in described.raw_description.pending_activities:
            if pending.HasField("last_failure"):
                return _failing(pending.activity_type.name, pending.last_failure)
        if described.task_queue != activity.info().task_queue:
            message = f"It waits on task queue {described.task_queue}, which is not the service's."
            return Blocker(message, never_answers=True)
        if described.workflow_type != "SubscriptionWorkflow":
            return Blocker("A workflow of another type has its id.", never_answers=True)
        attempts = described.raw_description.pending_workflow_task.attempt
        if attempts > 1:
            message = (
                "Its workflow tasks keep failing: see the error in the Temporal Web UI or the worker log."
            )
            return Blocker(message, never_answers=attempts >= _MAX_TASK_ATTEMPTS)
        if _needs_attention(described) and not described.raw_description.pending_activities:
            return await self._failed_last(described)
        return None

    async def _failed_last(self, described: WorkflowExecutionDescription) -> Blocker | None:
        """Return the activity that timed out last, if the workflow pauses before its next retry."""
        names: dict[int, str] = {}
        blocker = None
        handle = self._client.get_workflow_handle(described.id, run_id=described.run_id)
        async for event in handle.fetch_history_events():
            if event.HasField("activity_task_scheduled_event_attributes"):
                scheduled = event.activity_task_scheduled_event_attributes
                names[event.event_id] = scheduled.activity_type.name
            elif event.HasField("activity_task_timed_out_event_attributes"):
                undeliverable = event.activity_task_timed_out_event_attributes
                blocker = _failing(names[undeliverable.scheduled_event_id], undeliverable.failure)
            elif event.HasField("activity_task_completed_event_attributes"):
                blocker = None
        return blocker

    async def start(self, subscription_id: str, *, replace: bool = False) -> bool:
        """Start a workflow, which resumes from the database; return whether it has loaded its state.

        `replace` terminates a running workflow. Waiting for the start limits concurrent starts.
        """
        await self._client.start_workflow(
            "SubscriptionWorkflow",
            {},
            id=WORKFLOW_ID_PREFIX + subscription_id,
            task_queue=activity.info().task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING
            if replace
            else WorkflowIDConflictPolicy.USE_EXISTING,
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(_START_TIMEOUT.total_seconds()):
                while True:
                    if (await self.inspect(subscription_id)).state:
                        return True
                    await asyncio.sleep(_POLL_SECONDS)
        return False

    async def set_attention(self, subscription_id: str, reason: str | None) -> None:
        """Set `NeedsAttention` with this reason, or clear it; do nothing if no workflow is running."""
        described = await self._describe(subscription_id)
        if described is None or described.status is not WorkflowExecutionStatus.RUNNING:
            return
        if _needs_attention(described) is (reason is not None):
            return
        argument = {"needed": reason is not None, "kind": AttentionKind.COMPARISON, "reason": reason}
        try:
            await self._handle(subscription_id).signal("needs_attention", argument)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def _describe(self, subscription_id: str) -> WorkflowExecutionDescription | None:
        """Return the description of the latest run; None if there is none."""
        try:
            return await self._handle(subscription_id).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None

    def _handle(self, subscription_id: str) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(WORKFLOW_ID_PREFIX + subscription_id)


def _paused(described: WorkflowExecutionDescription) -> Blocker:
    # The operator's identity and reason are omitted: both may contain personal data.
    pause = described.raw_description.workflow_extended_info.pause_info
    paused_at = pause.paused_time.ToDatetime(tzinfo=UTC).astimezone(KST)
    message = f"Its workflow has been paused since {paused_at:%Y-%m-%d %H:%M} KST."
    return Blocker(message, FindingCode.WORKFLOW_PAUSED, never_answers=True)


def _failing(activity_name: str, failure: Failure) -> Blocker:
    cause = failure.cause if failure.HasField("timeout_failure_info") else failure
    error = cause.application_failure_info.type or "a timeout"
    message = f"{activity_name} keeps failing, with {error}."
    return Blocker(message, contradicts_record=error == RECORD_DIVERGED)


def _needs_attention(described: WorkflowExecutionDescription) -> bool:
    attributes = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    return bool(attributes.get(NEEDS_ATTENTION_NAME))
