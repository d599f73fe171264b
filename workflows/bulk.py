"""Workflow of a bulk run: one command for many subscriptions, at a rate.

The list is in the database, fixed before the workflow starts, and so is the outcome of each subscription. The
workflow carries only its position in the list, so its history does not grow with the list.
"""

import contextlib
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

from workflows import activity_stubs
from workflows.activity_calls import bulk_priority
from workflows.cancellation_shield import run_shielded
from workflows.scheduled_job import execute_page, read_argument

with workflow.unsafe.imports_passed_through():
    from subscription.bulk import (
        BULK_WORKFLOW_PREFIX,
        BulkInput,
        BulkItem,
        BulkReport,
        BulkState,
        LoadBulkItems,
        RecordBulkState,
        SendBulkCommand,
    )
    from subscription.refusals import RefusalCode

_PAGE = 100
_ITEMS_A_RUN = 500
"""About six events for each subscription: the run ends before the server suggests it at 4,096 events."""
_LEAST_IN_FLIGHT, _RATE_OF_ONE_IN_FLIGHT = 2, 20
"""Few commands wait for an answer at a time: a busy service slows the run down, and not its customers."""

_ATTEMPT = timedelta(minutes=1)
_HEARTBEAT_TIMEOUT = timedelta(seconds=10)
_RETRIES = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=30))


@workflow.defn(name="BulkWorkflow")
class BulkWorkflow:
    """Send the command of a run to every subscription of its list. It can be paused, resumed and stopped."""

    @workflow.init
    def __init__(self, argument: Any = None) -> None:
        self._input = _read_input(argument)
        self._state = self._requested = (
            self._input.state if isinstance(self._input, BulkInput) else BulkState.RUNNING
        )
        self._in_flight = 0
        self._is_over = False

    @workflow.run
    async def run(self, argument: Any = None) -> BulkReport:
        # A cancellation request in Temporal stops the run: each command in flight still gets its outcome.
        return await run_shielded(self._run(self._input), self._stop)

    async def _run(self, input: BulkInput | ApplicationError) -> BulkReport:
        if isinstance(input, ApplicationError):
            raise input
        run_id = input.run_id
        if workflow.info().workflow_id != f"{BULK_WORKFLOW_PREFIX}{run_id}":
            raise ApplicationError(
                f"The workflow ID must be {BULK_WORKFLOW_PREFIX} followed by the run ID.",
                type=RefusalCode.INVALID_ARGUMENT,
                non_retryable=True,
            )
        position = await self._send_all(input)
        await workflow.wait_condition(lambda: not self._in_flight)
        if position is not None:
            await self._finish_requests(run_id)
        if position is not None and not self._state.has_ended:
            workflow.continue_as_new(
                BulkInput(run_id=run_id, after=position, rate=input.rate, state=self._state)
            )
        report = await self._record(
            run_id, BulkState.STOPPED if self._state.has_ended else BulkState.COMPLETED
        )
        self._is_over = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        return report

    async def _send_all(self, input: BulkInput) -> int | None:
        """Send commands; return the position after which the next run continues, None at the end."""
        position, rate, sent = input.after, input.rate, 0
        page_size = rate * max(1, _PAGE // rate)  # whole seconds of the rate
        while sent < _ITEMS_A_RUN:
            page = await execute_page(
                activity_stubs.load_bulk_items,
                LoadBulkItems(run_id=input.run_id, after=position, limit=page_size),
                summary=f"the list after position {position}",
            )
            if not page.items:
                return None
            for first in range(0, len(page.items), rate):
                if workflow.info().is_continue_as_new_suggested():
                    return position
                next_second = workflow.now() + timedelta(seconds=1)
                for item in page.items[first : first + rate]:
                    if not await self._may_send(input):
                        return position
                    self._start_command(input.run_id, item)
                    position, sent = item.position, sent + 1
                await self._sleep_until(next_second)
        return position

    # -- commands ------------------------------------------------------------------------------------

    def _start_command(self, run_id: str, item: BulkItem) -> None:
        command = workflow.start_activity(
            activity_stubs.send_bulk_command,
            SendBulkCommand(run_id=run_id, position=item.position),
            start_to_close_timeout=_ATTEMPT,
            heartbeat_timeout=_HEARTBEAT_TIMEOUT,
            retry_policy=_RETRIES,
            priority=bulk_priority(item.customer_id),
            summary=f"position {item.position}",
        )
        self._in_flight += 1
        command.add_done_callback(self._finish_command)

    def _finish_command(self, _: object) -> None:
        self._in_flight -= 1

    async def _may_send(self, input: BulkInput) -> bool:
        """Wait for room among the commands in flight, and while the run is paused; False if it is stopped."""
        most = max(_LEAST_IN_FLIGHT, input.rate // _RATE_OF_ONE_IN_FLIGHT)
        while True:
            if self._requested is not self._state:
                await self._record(input.run_id, self._requested)
            elif self._state is BulkState.RUNNING and self._in_flight < most:
                return True
            elif self._state.has_ended:
                return False
            else:
                await self._wait_for_change()

    async def _sleep_until(self, moment: datetime) -> None:
        """Wait until the next second of the rate, or until an operator changes the state."""
        remaining = moment - workflow.now()
        if remaining > timedelta(0):
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self._requested is not self._state,
                    timeout=remaining,
                    timeout_summary="next second of the rate",
                )

    async def _wait_for_change(self) -> None:
        """Wait until a command is finished, or until an operator changes the state."""
        in_flight = self._in_flight
        await workflow.wait_condition(
            lambda: self._requested is not self._state or self._in_flight < in_flight
        )

    # -- state -----------------------------------------------------------------------------------------

    @workflow.update(description="Pause the run; commands in flight are finished")
    async def pause(self) -> BulkState:
        return await self._request(BulkState.PAUSED)

    @workflow.update(description="Resume a paused run")
    async def resume(self) -> BulkState:
        return await self._request(BulkState.RUNNING)

    @workflow.update(description="Stop the run; the remaining subscriptions get no command")
    async def stop(self) -> BulkState:
        return await self._request(BulkState.STOPPED)

    def _stop(self) -> None:
        self._requested = BulkState.STOPPED

    async def _request(self, state: BulkState) -> BulkState:
        """Request a state; return the state that the database has then. A stopped run stays stopped."""
        if not self._requested.has_ended:
            self._requested = state
        requested = self._requested
        await workflow.wait_condition(lambda: self._state is requested or self._is_over)
        return self._state

    async def _finish_requests(self, run_id: str) -> None:
        """Answer all requests for another state: the next run does not know them."""
        while self._requested is not self._state or not workflow.all_handlers_finished():
            if self._requested is not self._state:
                await self._record(run_id, self._requested)
            else:
                await workflow.wait_condition(
                    lambda: self._requested is not self._state or workflow.all_handlers_finished()
                )

    async def _record(self, run_id: str, state: BulkState) -> BulkReport:
        """Store the state of the run, and return the progress."""
        progress = await execute_page(
            activity_stubs.record_bulk_state,
            RecordBulkState(run_id=run_id, state=state),
            summary=state,
        )
        self._state = state
        summary = f"{state.capitalize()}. {progress.summary}"
        workflow.set_current_details(summary)
        return BulkReport(summary=summary, state=state)


def _read_input(argument: Any) -> BulkInput | ApplicationError:
    """Return the parsed input, or the error that `run` raises.

    Raised before, it would leave the coroutine of `run`, which the SDK has already created, without an await.
    """
    try:
        return read_argument(BulkInput, argument)
    except ApplicationError as error:
        return error
