"""The test clock of a subscription, advanced by Temporal time skipping."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakValueDictionary

from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.paused_status import PAUSED
from adapters.temporal.rpc_errors import Outcome, outcome_of
from adapters.temporal.time_skipping import fast_forward, wait_for_fast_forward

PROGRESS_SECONDS = 0.25
POLL_SECONDS = 0.05

# If real time passes the target of a fast-forward before the workflow is idle, the server (1.32) jumps over
# the target to the next timer, even if it is weeks away. Therefore a near target is awaited in real time.
SHORTEST_SKIP = timedelta(seconds=5)

# NOT_FOUND means that the run has ended. The others mean that the response was lost: the clock may have
# moved.
_DECIDED_BY_CLOCK = (RPCStatusCode.NOT_FOUND, RPCStatusCode.UNAVAILABLE, RPCStatusCode.UNKNOWN)

# Locks by namespace and workflow ID. A fast-forward that replaces a running fast-forward jumps over timers.
_locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()


class ClockNotSupportedError(Exception):
    """The server does not support time skipping. The message is a sentence for users."""


class SubscriptionClock:
    """The clock of one workflow, identified by workflow ID across continue-as-new.

    Timers between now and the target fire in order, and the workflow processes each before the next.
    Activities take real time; the clock does not advance while they run.
    """

    def __init__(self, client: Client, workflow_id: str) -> None:
        self._client = client
        self._handle: WorkflowHandle[Any, Any] = client.get_workflow_handle(workflow_id)
        self._lock = _locks.setdefault((client.namespace, workflow_id), asyncio.Lock())

    async def now(self) -> datetime:
        """Return the time of the workflow's clock in UTC; the real time if it was never advanced.

        Raises:
            RPCError: NOT_FOUND if the workflow does not exist.
        """
        return _clock(await self._handle.describe())

    async def advance_to(
        self, target: datetime, on_progress: Callable[[datetime], None] | None = None
    ) -> bool:
        """Advance the clock to `target` (timezone-aware), or a few milliseconds beyond it.

        Nothing happens if the clock has already reached the target. A distance below SHORTEST_SKIP is awaited
        in real time. A deadline exactly at the target may still be in process on return. The server continues
        to advance the clock even if this call is canceled. Calls for the same workflow serialize, also with
        calls of other processes unless both start within milliseconds.

        Args:
            target: the time at which the clock stops.
            on_progress: called with the time of the clock, a few times a second and at the end.

        Returns:
            True if the target was reached, False if the workflow ended first.

        Raises:
            ClockNotSupportedError: the server does not support time skipping.
            RPCError: NOT_FOUND if the workflow does not exist, FAILED_PRECONDITION while it is paused.
        """
        async with self._lock:
            while True:
                description = await self._running()
                if description is None:
                    return False
                now = _clock(description)
                if on_progress is not None:
                    on_progress(now)
                if now >= target:
                    return True
                if running := _fast_forward_id(description):  # of another process, or of a lost response
                    moved = wait_for_fast_forward(self._client, self._handle.id, running)
                    await self._show_until(moved, on_progress)
                elif target - now < SHORTEST_SKIP:
                    await asyncio.sleep((target - now).total_seconds())
                else:
                    moved = fast_forward(self._client, self._handle.id, target - now)
                    await self._show_until(moved, on_progress)

    async def _running(self) -> WorkflowExecutionDescription | None:
        """Return the description of the workflow, or None if it has ended; raise RPCError if it is paused.

        The clock of a paused workflow does not reach its target, because its timers do not fire.
        """
        description = await self._handle.describe()
        if description.raw_description.workflow_execution_info.status == PAUSED:
            raise RPCError("the workflow is paused", RPCStatusCode.FAILED_PRECONDITION, b"")
        return description if description.status is WorkflowExecutionStatus.RUNNING else None

    async def _show_until(
        self, moved: Coroutine[Any, Any, None], on_progress: Callable[[datetime], None] | None
    ) -> None:
        """Report progress until a fast-forward has ended, or until the clock must be read again."""
        moving = asyncio.create_task(moved)
        try:
            while not moving.done():
                await asyncio.wait({moving}, timeout=PROGRESS_SECONDS)
                running = None if moving.done() else await self._running()
                if on_progress is not None and running is not None:
                    on_progress(_clock(running))
            await moving
        except RPCError as error:
            if error.status in (RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.INVALID_ARGUMENT):
                raise ClockNotSupportedError(
                    "This Temporal server does not support time skipping. The embedded server supports it; "
                    "other servers need version 1.32 and the dynamic configuration "
                    f"frontend.WorkflowTimeSkippingEnabled=true. The server answered: {error.message}"
                ) from error
            if error.status not in _DECIDED_BY_CLOCK and outcome_of(error) is not Outcome.RETRY:
                raise
            await asyncio.sleep(POLL_SECONDS)
        finally:
            moving.cancel()


async def supports_test_clocks(client: Client) -> bool:
    """Return whether the server supports time skipping, which only development servers do."""
    # The workflow does not exist: a server with time skipping returns NOT_FOUND, others another error.
    try:
        await fast_forward(client, "worksub-time-skipping", timedelta(seconds=1))
    except RPCError as error:
        return error.status is RPCStatusCode.NOT_FOUND
    return False


def _clock(description: WorkflowExecutionDescription) -> datetime:
    extended = description.raw_description.workflow_extended_info
    if not extended.HasField("time_skipping_info"):
        return datetime.now(UTC)
    return extended.time_skipping_info.current_time.ToDatetime(UTC)


def _fast_forward_id(description: WorkflowExecutionDescription) -> str:
    """Return the ID of the fast-forward that is running; empty if none is."""
    config = description.raw_description.workflow_extended_info.time_skipping_info.effective_config
    return config.fast_forward_config.id if config.enabled else ""
