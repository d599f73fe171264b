"""Temporal schedules: declaration, apply, list, trigger, pause, resume."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.common import Priority
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.client import TASK_QUEUE
from subscription.business_calendar import KST, Instant
from subscription.model import Frozen

TIME_ZONE = "Asia/Seoul"

_JOB_PRIORITY = Priority(priority_key=4)  # interactive commands have 2, deadlines 3
# Runs missed while Temporal was down are started later, within this period.
_CATCH_UP = timedelta(days=7)
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Job:
    """A workflow that a schedule starts. `day` is a day of the month, None is every day; times are KST."""

    name: str
    workflow: str
    note: str
    hour: int
    minute: int = 0
    day: int | None = None

    @property
    def schedule_id(self) -> str:
        return f"worksub-{self.name}"

    @property
    def times(self) -> str:
        """Return the times of the schedule as text."""
        days = "every day" if self.day is None else f"on day {self.day} of the month"
        return f"{days} at {self.hour:02}:{self.minute:02} KST"


JOBS = (
    Job(
        "reconcile",
        "ReconcileWorkflow",
        "compares Temporal with the database, repairs safe differences, reports all findings",
        hour=2,
    ),
    Job("purge", "PurgeWorkflow", "deletes data after its retention period", hour=3, minute=30),
    Job(
        "invoices",
        "InvoicesWorkflow",
        "creates the invoice of the last month for each customer",
        hour=6,
        day=3,
    ),
    Job("notices", "NoticesWorkflow", "queues the notices of upcoming events", hour=9),
)


class NotAppliedError(Exception):
    """The namespace has no schedule for this job yet; `worksub schedules apply` creates it."""


class JobRunningError(Exception):
    """A run of the job that was started by hand has not ended."""


class JobFailedError(Exception):
    """A run of a job ended without a report; the message contains the reason."""


class ApplyResult(StrEnum):
    CREATED = "CREATED"
    UPDATED = "UPDATED"
    UNCHANGED = "UNCHANGED"


class LastRun(Frozen):
    """The latest run of a job: `status` is the Temporal status, `summary` the text in the job's report."""

    workflow_id: str
    status: str
    summary: str | None


class ScheduleStatus(Frozen):
    """State of a schedule in the namespace; `applied` is false if it does not exist there yet."""

    name: str
    times: str
    note: str
    applied: bool
    paused: bool = False
    pause_note: str | None = None
    next_run_at: Instant | None = None
    last_run: LastRun | None = None


async def apply_schedules(client: Client) -> dict[str, ApplyResult]:
    """Create missing schedules and update changed ones; return the result by name.

    A paused schedule stays paused.
    """
    return {job.name: await _apply(client, job) for job in JOBS}


async def list_schedules(client: Client) -> list[ScheduleStatus]:
    return [await _status(client, job) for job in JOBS]


async def trigger(client: Client, job: Job) -> WorkflowHandle[Any, Any]:
    """Start the job now, or directly after the present run; return when the new run has started.

    Raises `NotAppliedError`.
    """
    handle = _handle(client, job)
    # Two runs triggered within one second have the same workflow ID, so the run IDs are compared.
    known = {run.first_execution_run_id for run in _runs(await _description(handle, job))}
    await handle.trigger(overlap=ScheduleOverlapPolicy.BUFFER_ONE)
    while True:
        runs = _runs(await _description(handle, job))
        new = [run for run in runs if run.first_execution_run_id not in known]
        if new:
            return client.get_workflow_handle(new[-1].workflow_id, run_id=new[-1].first_execution_run_id)
        await asyncio.sleep(_POLL_SECONDS)


async def start_reconciliation(client: Client, *, query_all: bool) -> WorkflowHandle[Any, Any]:
    """Start the job `reconcile` beside its schedule. Raises `JobRunningError`.

    With `query_all`, it queries every workflow.
    """
    workflow_id = "worksub-reconcile-by-hand"
    try:
        return await client.start_workflow(
            "ReconcileWorkflow",
            {"query_all": query_all},
            id=workflow_id,
            task_queue=TASK_QUEUE,
            priority=_JOB_PRIORITY,
        )
    except WorkflowAlreadyStartedError:
        raise JobRunningError(f"The workflow {workflow_id} is still running.") from None


async def result_of(run: WorkflowHandle[Any, Any]) -> dict[str, Any]:
    """Wait for the end of a run and return its report. Raises `JobFailedError`."""
    try:
        report: dict[str, Any] = await run.result()
    except WorkflowFailureError as error:
        raise JobFailedError(str(error.cause)) from None
    return report


async def pause(client: Client, job: Job, note: str) -> None:
    """Pause the schedule: it starts no runs until it is resumed. Raises `NotAppliedError`."""
    with _translate_not_found(job):
        await _handle(client, job).pause(note=note)


async def resume(client: Client, job: Job) -> None:
    """Resume the schedule. Raises `NotAppliedError`."""
    with _translate_not_found(job):
        await _handle(client, job).unpause(note=job.note)


async def _apply(client: Client, job: Job) -> ApplyResult:
    try:
        await client.create_schedule(job.schedule_id, _schedule(job))
        return ApplyResult.CREATED
    except ScheduleAlreadyRunningError:
        pass
    present = (await _handle(client, job).describe()).schedule
    if _is_up_to_date(present, job):
        return ApplyResult.UNCHANGED

    def update(input: ScheduleUpdateInput) -> ScheduleUpdate:
        return ScheduleUpdate(replace(_schedule(job), state=input.description.schedule.state))

    await _handle(client, job).update(update)
    return ApplyResult.UPDATED


def _schedule(job: Job) -> Schedule:
    days = (ScheduleRange(1, 31),) if job.day is None else (ScheduleRange(job.day),)
    calendar = ScheduleCalendarSpec(
        hour=(ScheduleRange(job.hour),), minute=(ScheduleRange(job.minute),), day_of_month=days
    )
    return Schedule(
        action=ScheduleActionStartWorkflow(
            job.workflow,
            id=job.schedule_id,
            task_queue=TASK_QUEUE,
            static_summary=job.note,
            priority=_JOB_PRIORITY,
        ),
        spec=ScheduleSpec(calendars=[calendar], time_zone_name=TIME_ZONE),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=_CATCH_UP),
        state=ScheduleState(note=job.note),
    )


def _is_up_to_date(present: Schedule, job: Job) -> bool:
    return _comparable_fields(present) == _comparable_fields(_schedule(job))


def _comparable_fields(schedule: Schedule) -> tuple[Any, ...]:
    """Return the fields that the declaration sets, without the fields that the server adds."""
    action = schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    times = [
        tuple((values.start, max(values.end, values.start)) for values in field)
        for calendar in schedule.spec.calendars
        for field in (calendar.minute, calendar.hour, calendar.day_of_month)
    ]
    policy = schedule.policy
    return (
        action.workflow,
        action.id,
        action.task_queue,
        action.priority.priority_key,
        times,
        schedule.spec.time_zone_name,
        policy.overlap,
        policy.catchup_window,
    )


async def _status(client: Client, job: Job) -> ScheduleStatus:
    status = ScheduleStatus(name=job.name, times=job.times, note=job.note, applied=False)
    try:
        description = await _description(_handle(client, job), job)
    except NotAppliedError:
        return status
    state, next_runs = description.schedule.state, description.info.next_action_times
    runs = _runs(description)
    return status.model_copy(
        update={
            "applied": True,
            "paused": state.paused,
            "pause_note": state.note if state.paused else None,
            "next_run_at": next_runs[0].astimezone(KST) if next_runs and not state.paused else None,
            "last_run": await _last_run(client, runs[-1].workflow_id) if runs else None,
        }
    )


def _runs(description: ScheduleDescription) -> list[ScheduleActionExecutionStartWorkflow]:
    actions = [result.action for result in description.info.recent_actions]
    return [action for action in actions if isinstance(action, ScheduleActionExecutionStartWorkflow)]


async def _last_run(client: Client, workflow_id: str) -> LastRun | None:
    handle = client.get_workflow_handle(workflow_id)
    try:
        description = await handle.describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None  # deleted after the namespace's retention period
    status = description.status
    summary = None
    if status is WorkflowExecutionStatus.COMPLETED:
        result = await handle.result()
        summary = result.get("summary") if isinstance(result, dict) else None
    return LastRun(workflow_id=workflow_id, status=status.name if status else "UNKNOWN", summary=summary)


async def _description(handle: ScheduleHandle, job: Job) -> ScheduleDescription:
    with _translate_not_found(job):
        return await handle.describe()


@contextmanager
def _translate_not_found(job: Job) -> Iterator[None]:
    try:
        yield
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise NotAppliedError(f"The namespace has no schedule for the job {job.name}.") from None


def _handle(client: Client, job: Job) -> ScheduleHandle:
    return client.get_schedule_handle(job.schedule_id)
