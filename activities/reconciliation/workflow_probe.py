"""Probe of a subscription's workflow: state, pending failures; restart if needed.

A workflow's state is recorded before it becomes the workflow's. So in a sound house a record that is read
after the workflow was asked has all of its events, and a workflow that is asked after it has settled has all
that was recorded before. What contradicts that is no race.
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

from activities.transitions import RecordDivergedError
from adapters.outages import concerns_all
from adapters.temporal.rpc_errors import Outcome, outcome_of
from subscription.attention import AttentionKind
from subscription.business_calendar import KST
from subscription.catalogue import PriceBook
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.reconciliation import FindingCode
from subscription.search_attributes import NEEDS_ATTENTION_NAME
from subscription.state import Subscription

_PATIENCE, _LEAST_PATIENCE = 10.0, 1.0
_BEGINS_WITHIN = timedelta(seconds=30)
_LOOK_SECONDS = 0.1
# An effect that has just been begun anew after a pause fails again in so many looks, if it does.
_LOOKS_FOR_FAILURES = 20
# So many attempts at a workflow task take half a minute.
_FAILS_FOR_LONG = 4
_DIVERGED = RecordDivergedError.__name__


@dataclass(frozen=True)
class Blocker:
    """Why a workflow does not go on, in words."""

    words: str
    code: FindingCode = FindingCode.WORKFLOW_STUCK
    contradicts_the_record: bool = False
    never_answers: bool = False
    """No wait for an answer would end well."""


@dataclass(frozen=True)
class WorkflowStatus:
    """How a workflow stands. `state` is None where it does not answer, has not begun, or is ending.

    `closed_as` is how it was closed, in words; None while it runs.
    """

    state: Subscription | None = None
    hindrance: Blocker | None = None
    closed_as: str | None = None
    reset_at: datetime | None = None
    """When somebody has reset it, as `temporal workflow reset` does; None if its run began otherwise."""

    @property
    def runs(self) -> bool:
        return self.closed_as is None


class Patience:
    """How long a page waits in all for workflows that do not answer: a thousand must not stop a night."""

    def __init__(self, seconds: float = 300.0) -> None:
        self._left = seconds

    @contextmanager
    def waiting(self) -> Iterator[float]:
        """Yield how many seconds this wait may last."""
        begun = time.monotonic()
        try:
            yield min(_PATIENCE, max(self._left, _LEAST_PATIENCE))
        finally:
            self._left -= time.monotonic() - begun


class WorkflowProbe:
    def __init__(self, client: Client, patience: Patience) -> None:
        self._client = client
        self._patience = patience

    async def standing(self, subscription_id: str) -> WorkflowStatus:
        """As the workflow says itself, which replays it: one that cannot be replayed does not answer."""
        described = await self._described(subscription_id)
        if described is None:
            return WorkflowStatus(closed_as="lost")
        if described.status is not WorkflowExecutionStatus.RUNNING:
            status = described.status.name if described.status else "closed"
            return WorkflowStatus(closed_as=status.lower().replace("_", " "))
        hindrance = await self._hindrance(described)
        if hindrance and hindrance.never_answers:
            return WorkflowStatus(hindrance=hindrance)
        extended = described.raw_description.workflow_extended_info
        reset_at = (
            extended.last_reset_time.ToDatetime(tzinfo=UTC) if extended.HasField("last_reset_time") else None
        )
        return WorkflowStatus(await self._state(subscription_id), hindrance, reset_at=reset_at)

    async def _state(self, subscription_id: str) -> Subscription | None:
        state: Subscription | None = await self._answer(subscription_id, "snapshot", Subscription)
        return state

    async def price_book(self, subscription_id: str) -> PriceBook | None:
        """Return the catalogue versions that the workflow knows; None if it does not answer."""
        book: PriceBook | None = await self._answer(subscription_id, "price_book", PriceBook)
        return book

    async def _answer(self, subscription_id: str, query: str, shape: type[Any]) -> Any:
        """Return the answer to a query; None if the workflow does not answer."""
        try:
            with self._patience.waiting() as seconds:
                return await self._handle(subscription_id).query(
                    query,
                    result_type=shape | None,  # type: ignore[arg-type]
                    reject_condition=QueryRejectCondition.NOT_OPEN,
                    rpc_timeout=timedelta(seconds=seconds),
                )
        except (WorkflowQueryRejectedError, WorkflowQueryFailedError):
            return None
        except RPCError as error:
            if concerns_all(error):
                raise
            return None

    async def settled(self, subscription_id: str) -> bool:
        """Ask it to do all that is due; whether it has answered, if only that it is over."""
        try:
            with self._patience.waiting() as seconds:
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

    async def hindrance(self, subscription_id: str) -> Blocker | None:
        """What a workflow that does not answer is hindered by; None if nothing is seen to fail for long."""
        for _ in range(_LOOKS_FOR_FAILURES):
            described = await self._described(subscription_id)
            if described is None:
                return None
            if hindrance := await self._hindrance(described):
                return hindrance
            await asyncio.sleep(_LOOK_SECONDS)
        return None

    async def _hindrance(self, described: WorkflowExecutionDescription) -> Blocker | None:
        if (
            described.raw_description.workflow_execution_info.status
            == Status.WORKFLOW_EXECUTION_STATUS_PAUSED
        ):
            return _paused(described)
        for pending in described.raw_description.pending_activities:
            if pending.HasField("last_failure"):
                return _failing(pending.activity_type.name, pending.last_failure)
        if described.task_queue != activity.info().task_queue:
            words = f"It waits on task queue {described.task_queue}, which is not the service's."
            return Blocker(words, never_answers=True)
        if described.workflow_type != "SubscriptionWorkflow":
            return Blocker("A workflow of another type has its id.", never_answers=True)
        attempts = described.raw_description.pending_workflow_task.attempt
        if attempts > 1:
            words = "Its tasks keep failing: Temporal's Web UI and the worker's log say why."
            return Blocker(words, never_answers=attempts >= _FAILS_FOR_LONG)
        if _needs_attention(described) and not described.raw_description.pending_activities:
            return await self._failed_last(described)
        return None

    async def _failed_last(self, described: WorkflowExecutionDescription) -> Blocker | None:
        """The effect that was given up last, if this is the pause before it is tried anew."""
        names: dict[int, str] = {}
        hindrance = None
        handle = self._client.get_workflow_handle(described.id, run_id=described.run_id)
        async for event in handle.fetch_history_events():
            if event.HasField("activity_task_scheduled_event_attributes"):
                scheduled = event.activity_task_scheduled_event_attributes
                names[event.event_id] = scheduled.activity_type.name
            elif event.HasField("activity_task_timed_out_event_attributes"):
                given_up = event.activity_task_timed_out_event_attributes
                hindrance = _failing(names[given_up.scheduled_event_id], given_up.failure)
            elif event.HasField("activity_task_completed_event_attributes"):
                hindrance = None
        return hindrance

    async def start(self, subscription_id: str, *, instead: bool = False) -> bool:
        """Start a workflow, which goes on from the record; whether it has taken that up.

        `instead` of one that runs, which is terminated. Waiting for it bounds how many begin at once.
        """
        await self._client.start_workflow(
            "SubscriptionWorkflow",
            {},
            id=WORKFLOW_ID_PREFIX + subscription_id,
            task_queue=activity.info().task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING
            if instead
            else WorkflowIDConflictPolicy.USE_EXISTING,
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(_BEGINS_WITHIN.total_seconds()):
                while (await self.standing(subscription_id)).state is None:
                    activity.heartbeat()
                    await asyncio.sleep(_LOOK_SECONDS)
                return True
        return False

    async def show_attention(self, subscription_id: str, reason: str | None) -> None:
        """Mark the subscription with this reason, or unmark it; do nothing if there is no workflow."""
        described = await self._described(subscription_id)
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

    async def _described(self, subscription_id: str) -> WorkflowExecutionDescription | None:
        """The latest run; None if there is none."""
        try:
            return await self._handle(subscription_id).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None

    def _handle(self, subscription_id: str) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(WORKFLOW_ID_PREFIX + subscription_id)


def _paused(described: WorkflowExecutionDescription) -> Blocker:
    # Not the operator's identity and reason: both may name a person.
    pause = described.raw_description.workflow_extended_info.pause_info
    paused_at = pause.paused_time.ToDatetime(tzinfo=UTC).astimezone(KST)
    words = f"Its workflow has been paused since {paused_at:%Y-%m-%d %H:%M} KST."
    return Blocker(words, FindingCode.WORKFLOW_PAUSED, never_answers=True)


def _failing(effect: str, failure: Failure) -> Blocker:
    cause = failure.cause if failure.HasField("timeout_failure_info") else failure
    error = cause.application_failure_info.type or "a timeout"
    words = f"{effect} keeps failing, with {error}."
    return Blocker(words, contradicts_the_record=error == _DIVERGED)


def _needs_attention(described: WorkflowExecutionDescription) -> bool:
    shown = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    return bool(shown.get(NEEDS_ATTENTION_NAME))
