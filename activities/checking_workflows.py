"""The record against Temporal: each living subscription has one workflow, which shows the same.

A workflow that seems to differ is asked to do all that is due, and looked at once more: what was only
under way has then been done.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from activities import record
from activities.checking_record import Recorded
from activities.database import Pool
from subscription.deadlines import next_deadline
from subscription.effects import WORKFLOW_ID_PREFIX
from subscription.reconciliation import Finding, FindingCode
from subscription.state import Subscription
from subscription.visible import visible

_PATIENCE = timedelta(seconds=10)
_LONG_PAST = timedelta(hours=1)
_ATTENTION = "NeedsAttention"


class WorkflowChecks:
    def __init__(self, client: Client, pool: Pool) -> None:
        self._client = client
        self._pool = pool

    async def finding_in(self, recorded: Recorded) -> Finding | None:
        """What the workflow of a living subscription says against the record."""
        described = await self._described(recorded.id)
        if described is None:
            message = "There was no workflow; a new one has been started, which goes on from the record."
            await self._start(recorded.id)
            return _finding(recorded, FindingCode.WORKFLOW_MISSING, message, repaired=True)
        told = recorded.retold
        if not _differing(told, described) and not _is_long_past(told):
            return None
        return await self._second_look(recorded, told)

    async def set_attention(self, subscription_id: str, *, needed: bool) -> None:
        """Show in lists that somebody must look, or need not any more; nothing if there is no workflow."""
        described = await self._described(subscription_id)
        if described is None or _shown(described).get(_ATTENTION, False) is needed:
            return
        try:
            await self._handle(subscription_id).signal("needs_attention", {"needed": needed})
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def _second_look(self, recorded: Recorded, told: Subscription) -> Finding | None:
        if not await self._settled(recorded.id):
            message = "The workflow does not answer; its tasks may be failing."
            return _finding(recorded, FindingCode.WORKFLOW_STUCK, message)
        now = await record.snapshot(self._pool, recorded.id) or told
        if now.sequence == told.sequence:
            now = told
        described = await self._described(recorded.id)
        if now.state.over or described is None:
            return None
        differing = _differing(now, described)
        if differing:
            message = f"The workflow shows another {', '.join(differing)} than the record."
            return _finding(recorded, FindingCode.WORKFLOW_DIFFERS, message)
        if _is_long_past(told) and now.sequence > told.sequence:
            deadline = next_deadline(told)
            assert deadline is not None
            message = f"{deadline.what} was due at {deadline.at:%Y-%m-%d %H:%M} KST and is done now."
            return _finding(recorded, FindingCode.DEADLINE_LONG_PAST, message, repaired=True)
        return None

    async def _described(self, subscription_id: str) -> WorkflowExecutionDescription | None:
        """The running workflow; None if there is none."""
        try:
            described = await self._handle(subscription_id).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None
        return described if described.status is WorkflowExecutionStatus.RUNNING else None

    async def _start(self, subscription_id: str) -> None:
        await self._client.start_workflow(
            "SubscriptionWorkflow",
            {},
            id=WORKFLOW_ID_PREFIX + subscription_id,
            task_queue=activity.info().task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )

    async def _settled(self, subscription_id: str) -> bool:
        """Whether the workflow has done all that is due by its own clock."""
        try:
            async with asyncio.timeout(_PATIENCE.total_seconds()):
                await self._handle(subscription_id).execute_update("settle", {})
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
            return False
        except WorkflowUpdateFailedError:
            return True  # it has ended, or not begun
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        return True

    def _handle(self, subscription_id: str) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(WORKFLOW_ID_PREFIX + subscription_id)


def _differing(state: Subscription, described: WorkflowExecutionDescription) -> list[str]:
    shown = _shown(described)
    return [name for name, value in visible(state).items() if shown.get(name) != value]


def _shown(described: WorkflowExecutionDescription) -> Mapping[str, Any]:
    return {pair.key.name: pair.value for pair in described.typed_search_attributes}


def _is_long_past(state: Subscription) -> bool:
    """By the real clock; a subscription on a clock of its own is asked before anything is said of it."""
    deadline = next_deadline(state)
    return deadline is not None and deadline.at < datetime.now(UTC) - _LONG_PAST


def _finding(recorded: Recorded, code: FindingCode, message: str, *, repaired: bool = False) -> Finding:
    return Finding(subscription_id=recorded.id, code=code, message=message, repaired=repaired)
