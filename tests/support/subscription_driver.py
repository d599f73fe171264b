"""Driver for one subscription: commands, queries, and its histories in Temporal."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import ResetActivityRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from starter.client import SubscriptionClient
from starter.subscription_clock import SubscriptionClock
from subscription.business_calendar import KST, day_of
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.ledger import LedgerLine
from subscription.refusals import Refusal, RefusalCode, RefusalError
from subscription.status import Status
from subscription.timeline import Answer

from .polling import wait_for


class SubscriptionDriver:
    """A subscription by its ID. Times are written as `2027-03-15 09:00`, in Korean time."""

    def __init__(
        self, client: SubscriptionClient, temporal: Client, subscription_id: str, request: dict[str, Any]
    ) -> None:
        self.client = client
        self.temporal = temporal
        self.id = subscription_id
        self.request = request

    @property
    def workflow_id(self) -> str:
        return WORKFLOW_ID_PREFIX + self.id

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        """Return a handle without a run ID: it follows the latest run."""
        return self.temporal.get_workflow_handle(self.workflow_id)

    @property
    def clock(self) -> SubscriptionClock:
        return self.client.clock(self.id)

    # -- commands ------------------------------------------------------------------------------------

    async def send(self, command: str, *, at: str | None = None, **argument: Any) -> Answer:
        """Send a command that must be accepted. The default confirmation is the correct one."""
        return await self.client.command(self.id, command, await self._argument(command, at, argument))

    async def expect_refusal(self, command: str, *, at: str | None = None, **argument: Any) -> Refusal:
        """Send a command that must be refused; return the refusal."""
        try:
            answer = await self.send(command, at=at, **argument)
        except RefusalError as refusal:
            return refusal.refused
        raise AssertionError(f"{command} was accepted: {answer}")

    async def advance_to(self, moment: str) -> None:
        """In a simulated subscription, process all deadlines that are due at that time."""
        await self.client.settle(self.id, _moment(moment))

    async def cancel_and_wait(self, at: str) -> None:
        """Cancel a simulated subscription for that day; wait for erasure and deletion of its histories."""
        await self.send("cancel", at=at, date=at[:10])
        await self.advance_to(at)
        await self.has_closed()

    async def advance_clock_to(self, moment: datetime) -> None:
        """In a subscription with a test clock, advance the clock and wait for the due deadlines."""
        await self.clock.advance_to(moment)
        await self.client.settle(self.id)

    async def today(self) -> date:
        """Return the business date of the test clock; without one, that of the real clock."""
        return day_of(await self.clock.now())

    async def confirmation(self) -> str:
        status = await self.client.status(self.id)
        return status.account or ""

    async def _argument(self, command: str, at: str | None, argument: dict[str, Any]) -> dict[str, Any]:
        if command == "cancel" and "confirmation" not in argument:
            argument = {**argument, "confirmation": await self.confirmation()}
        if command == "upgrade" and "agreed_terms" not in argument:
            argument = {**argument, "agreed_terms": self.request["agreed_terms"]}
        return argument if at is None else {**argument, "at": _moment(at).isoformat()}

    # -- queries -------------------------------------------------------------------------------------

    async def status(self) -> Status:
        return await self.client.status(self.id)

    async def events(self) -> list[str]:
        return [entry.event for entry in await self.client.timeline(self.id)]

    async def event_times(self) -> list[tuple[str, str]]:
        """Return each event with the business time at which it takes effect."""
        return [
            (entry.event, f"{entry.at.astimezone(KST):%Y-%m-%d %H:%M}")
            for entry in await self.client.timeline(self.id)
        ]

    async def ledger(self) -> list[LedgerLine]:
        return await self.client.ledger(self.id)

    async def ledger_tuples(self) -> list[tuple[str, str, str, int]]:
        return [
            (line.kind.value, f"{line.first_day}", f"{line.end_day}", line.amount)
            for line in await self.ledger()
        ]

    async def retry_until_done(self, command: asyncio.Task[Answer]) -> Answer:
        """Retry its failing activities until this command has its answer, without their back-off.

        An attempt that is running has begun before the cause was removed, and fails once more.
        Not for a test clock that was advanced: the server then lets a reset activity time out at once.
        """

        async def is_done() -> bool:
            if not command.done():
                await self.retry_activities()
            return command.done()

        await wait_for("the command has its answer", is_done)
        return await command

    async def retry_activities(self) -> None:
        """Retry its activities without their back-off, as operators do after they have removed the cause.

        Not an attempt that runs or is about to: the server would reject its result, and wait for its timeout.
        """
        described = (await self.handle.describe()).raw_description
        soon = datetime.now(UTC) + timedelta(seconds=1)
        for pending in described.pending_activities:
            if pending.next_attempt_schedule_time.ToDatetime(tzinfo=UTC) > soon:
                request = ResetActivityRequest(
                    namespace=self.temporal.namespace,
                    execution=WorkflowExecution(workflow_id=self.workflow_id),
                    id=pending.activity_id,
                )
                with suppress(RPCError):  # its own retry may have succeeded first
                    await self.temporal.workflow_service.reset_activity(request)

    # -- runs and histories --------------------------------------------------------------------------

    async def run_ids(self) -> list[str]:
        """Return the runs that the server lists, oldest first."""
        runs = [run async for run in self.temporal.list_workflows(f"WorkflowId = '{self.workflow_id}'")]
        return [run.run_id for run in sorted(runs, key=lambda run: run.start_time)]

    async def has_run(self, times: int) -> list[str]:
        """Wait until the server lists this many runs: a new run starts after the response to its cause."""

        async def listed() -> list[str] | None:
            runs = await self.run_ids()
            return runs if len(runs) >= times else None

        runs = await wait_for(f"{times} runs are listed", listed)
        assert runs is not None
        return runs

    async def is_at_rest_in_run(self, number: int) -> None:
        """Wait until this run is listed and has no workflow task to do.

        A worker that stops during a task leaves it to its timeout, ten seconds later.
        """
        await self.has_run(number)

        async def at_rest() -> bool:
            described = (await self.handle.describe()).raw_description
            return not described.HasField("pending_workflow_task")

        await wait_for("no workflow task is pending", at_rest)

    async def has_only_its_last_run(self) -> None:
        """Wait until the server lists one run: deleted runs leave the lists after their histories."""

        async def listed() -> bool:
            return len(await self.run_ids()) == 1

        await wait_for("one run is listed", listed)

    async def has_started(self) -> bool:
        """Return whether a restarted workflow has loaded its state from the database."""
        try:
            await self.client.settle(self.id)
        except RefusalError as refusal:
            if refusal.refused.code is not RefusalCode.NOT_YET_STARTED:
                raise
            return False
        return True

    async def has_closed(self) -> None:
        """Wait until the workflow's last run has closed: the other histories are deleted by then."""
        await has_closed(self.handle)

    async def history(self, run_id: str | None = None) -> list[HistoryEvent]:
        handle = self.temporal.get_workflow_handle(self.workflow_id, run_id=run_id)
        return [event async for event in handle.fetch_history_events()]

    async def whole_history(self) -> list[HistoryEvent]:
        """Return the events of every run that still exists."""
        events = []
        for run_id in await self.run_ids():
            try:
                events += await self.history(run_id)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:  # it has just been erased
                    raise
        return events

    async def failed_tasks(self) -> list[str]:
        return failed_tasks(await self.whole_history())


async def is_known(handle: WorkflowHandle[Any, Any]) -> bool:
    """Return whether the server has this workflow or, if the handle names a run, this run of it."""
    try:
        await handle.describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True


async def has_closed(handle: WorkflowHandle[Any, Any]) -> None:
    """Wait until a workflow has completed; one that was never started counts as completed."""

    async def is_over() -> bool:
        try:
            description = await handle.describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return True
        return description.status is WorkflowExecutionStatus.COMPLETED

    await wait_for(f"{handle.id} has closed", is_over)


# Causes in the server itself: a new event had arrived, or more signals than it buffers.
_HARMLESS = (
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
)


def failed_tasks(events: Iterable[HistoryEvent]) -> list[str]:
    """Return the causes of failed workflow tasks, except those that the server itself causes."""
    failures = (
        event.workflow_task_failed_event_attributes
        for event in events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    )
    return [
        f"{WorkflowTaskFailedCause.Name(failed.cause)}: {failed.failure.message}"
        for failed in failures
        if failed.cause not in _HARMLESS
    ]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=KST)
