"""A subscription's test clock, advanced by Temporal time skipping."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakValueDictionary

from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from adapters.temporal.paused_status import PAUSED
from adapters.temporal.rpc_errors import Outcome, outcome_of

# A life with a name to prove wakes some 445 times a year; the server's default stops a clock after 200.
MAX_SKIPS = 100_000
PROGRESS_SECONDS = 0.25
POLL_SECONDS = 0.05

# If real time overtakes a fast-forward's target before the workflow has come to rest, the server (1.32) jumps
# over the target to the next timer, be it weeks away. So what is near is waited for, not skipped.
SHORTEST_SKIP = timedelta(seconds=5)

# By namespace and workflow id. A fast-forward that replaces another one before its end jumps over timers.
_moving: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()


class ClockNotSupportedError(Exception):
    """The server cannot move a workflow's clock. The message is a sentence for a person."""


class SubscriptionClock:
    """The clock of one workflow, found by its id through every continue-as-new.

    Timers that lie between now and the target fire in their order, and what they cause is done in between;
    activities take their real time, during which the clock stands still.
    """

    def __init__(self, client: Client, workflow_id: str) -> None:
        self._handle: WorkflowHandle[Any, Any] = client.get_workflow_handle(workflow_id)
        self._skipper = TimeSkipper(client, config=TimeSkippingConfig(max_session_skip_count=MAX_SKIPS))
        self._moving = _moving.setdefault((client.namespace, workflow_id), asyncio.Lock())

    async def now(self) -> datetime:
        """What the workflow's clock shows, in UTC; the real time if it has never been moved.

        Raises:
            RPCError: NOT_FOUND if there is no such workflow.
        """
        return _clock(await self._handle.describe())

    async def advance_to(
        self, target: datetime, on_progress: Callable[[datetime], None] | None = None
    ) -> bool:
        """Move the clock forward until it shows `target` (aware) or, by milliseconds, a later time.

        Nothing happens if it shows that already; less than SHORTEST_SKIP is waited for in real time. The work
        of a deadline exactly at the target may still be under way on return. The server moves the clock on
        even if this call is cancelled. Calls for one workflow wait for each other, those of other processes
        unless they begin within milliseconds.

        Args:
            target: where to stop.
            on_progress: called with what the clock shows, a few times a second and at the end.

        Returns:
            Whether the target was reached; False if the workflow ended first.

        Raises:
            TestClockUnavailable: the server does not support test clocks.
            RPCError: NOT_FOUND if there is no such workflow, FAILED_PRECONDITION while it is paused.
        """
        async with self._moving:
            while True:
                description = await self._running()
                if description is None:
                    return False
                now = _clock(description)
                if on_progress is not None:
                    on_progress(now)
                if now >= target:
                    return True
                if _is_moving(description):  # on behalf of another process
                    await asyncio.sleep(POLL_SECONDS)
                elif target - now < SHORTEST_SKIP:
                    await asyncio.sleep((target - now).total_seconds())
                else:
                    await self._fast_forward(target - now, on_progress)

    async def _running(self) -> WorkflowExecutionDescription | None:
        """Return the description of the workflow, or None if it has ended; raise RPCError if it is paused.

        The clock of a paused workflow does not reach its target, because its timers do not fire.
        """
        description = await self._handle.describe()
        if description.raw_description.workflow_execution_info.status == PAUSED:
            raise RPCError("the workflow is paused", RPCStatusCode.FAILED_PRECONDITION, b"")
        return description if description.status is WorkflowExecutionStatus.RUNNING else None

    async def _fast_forward(
        self, duration: timedelta, on_progress: Callable[[datetime], None] | None
    ) -> None:
        """Move the clock by `duration`, or less if the workflow ends or another process interferes."""
        moving = asyncio.create_task(self._skipper.fast_forward(self._handle, duration))
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
                    "This Temporal server cannot move a workflow's clock. The embedded server can; "
                    "any other needs version 1.32 and the dynamic configuration "
                    f"frontend.WorkflowTimeSkippingEnabled=true. It answered: {error.message}"
                ) from error
            # NOT_FOUND is how a run answers that has ended.
            if error.status is not RPCStatusCode.NOT_FOUND and outcome_of(error) is not Outcome.RETRY:
                raise
        except RuntimeError:  # how the SDK says that somebody has replaced the fast-forward
            pass
        finally:
            moving.cancel()


def _clock(description: WorkflowExecutionDescription) -> datetime:
    extended = description.raw_description.workflow_extended_info
    if not extended.HasField("time_skipping_info"):
        return datetime.now(UTC)
    return extended.time_skipping_info.current_time.ToDatetime(UTC)


def _is_moving(description: WorkflowExecutionDescription) -> bool:
    config = description.raw_description.workflow_extended_info.time_skipping_info.effective_config
    return config.enabled and config.HasField("fast_forward_config")
