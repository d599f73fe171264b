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
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.client import TASK_QUEUE
from subscription.business_calendar import KST, Instant
from subscription.model import Frozen

TIME_ZONE = "Asia/Seoul"

# A job that was missed while Temporal was down is made up for, as long as it may still matter.
_JOB_PRIORITY = Priority(priority_key=4)  # what people ask has 2, what falls due 3
_CATCH_UP = timedelta(days=7)
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Job:
    """A workflow that a schedule starts. `day` is of the month, None for every day; the time is Korean."""

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
        """When it runs, in words."""
        days = "every day" if self.day is None else f"on day {self.day} of the month"
        return f"{days} at {self.hour:02}:{self.minute:02} KST"


JOBS = (
    Job(
        "reconcile",
        "ReconcileWorkflow",
        "compares Temporal with the record, repairs what is safe, reports all",
        hour=2,
    ),
    Job("purge", "PurgeWorkflow", "deletes what is past its retention", hour=3, minute=30),
    Job("invoices", "InvoicesWorkflow", "one invoice for each customer of last month", hour=6, day=3),
    Job("notices", "NoticesWorkflow", "tells customers what is about to happen", hour=9),
)


class NotAppliedError(Exception):
    """The namespace has no schedule for this job yet; `worksub schedules apply` makes it."""


class JobFailedError(Exception):
    """A run of a job ended without a report; the message says why."""


class ApplyResult(StrEnum):
    CREATED = "CREATED"
    UPDATED = "UPDATED"
    UNCHANGED = "UNCHANGED"


class LastRun(Frozen):
    """The latest run of a job: `status` is Temporal's word, `summary` what the job said when it was done."""

    workflow_id: str
    status: str
    summary: str | None


class ScheduleStatus(Frozen):
    """A schedule as it stands in the namespace, or that it is not `applied` there yet."""

    name: str
    times: str
    note: str
    applied: bool
    paused: bool = False
    pause_note: str | None = None
    next_run_at: Instant | None = None
    last_run: LastRun | None = None


async def apply_schedules(client: Client) -> dict[str, ApplyResult]:
    """Create what is missing and correct what differs, by name. Who paused a schedule finds it paused."""
    return {job.name: await _apply(client, job) for job in JOBS}


async def list_schedules(client: Client) -> list[ScheduleStatus]:
    return [await _scheduled(client, job) for job in JOBS]


async def trigger(client: Client, job: Job) -> WorkflowHandle[Any, Any]:
    """Start the job now, or straight after a run that is under way; returns once the new run has begun.

    Raises `NotAppliedError`.
    """
    handle = _handle(client, job)
    # Two that are asked for within a second have the same workflow id.
    known = {run.first_execution_run_id for run in _runs(await _description(handle, job))}
    await handle.trigger(overlap=ScheduleOverlapPolicy.BUFFER_ONE)
    while True:
        runs = _runs(await _description(handle, job))
        begun = [run for run in runs if run.first_execution_run_id not in known]
        if begun:
            return client.get_workflow_handle(begun[-1].workflow_id, run_id=begun[-1].first_execution_run_id)
        await asyncio.sleep(_LOOK_SECONDS)


async def result_of(run: WorkflowHandle[Any, Any]) -> dict[str, Any]:
    """The report of a run, as soon as it is done. Raises `JobFailedError`."""
    try:
        report: dict[str, Any] = await run.result()
    except WorkflowFailureError as error:
        raise JobFailedError(str(error.cause)) from None
    return report


async def pause(client: Client, job: Job, note: str) -> None:
    """Nothing of this job starts by itself until it is resumed. Raises `NotAppliedError`."""
    with _translate_not_found(job):
        await _handle(client, job).pause(note=note)


async def resume(client: Client, job: Job) -> None:
    """Raises `NotAppliedError`."""
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

    def corrected(found: ScheduleUpdateInput) -> ScheduleUpdate:
        return ScheduleUpdate(replace(_schedule(job), state=found.description.schedule.state))

    await _handle(client, job).update(corrected)
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
    """What the declaration decides, without what the server adds."""
    action = schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    times = [
        tuple((each.start, max(each.end, each.start)) for each in field)
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


async def _scheduled(client: Client, job: Job) -> ScheduleStatus:
    about = ScheduleStatus(name=job.name, times=job.times, note=job.note, applied=False)
    try:
        found = await _description(_handle(client, job), job)
    except NotAppliedError:
        return about
    state, next_runs, runs = found.schedule.state, found.info.next_action_times, _runs(found)
    return about.model_copy(
        update={
            "applied": True,
            "paused": state.paused,
            "pause_note": state.note if state.paused else None,
            "next_run_at": next_runs[0].astimezone(KST) if next_runs and not state.paused else None,
            "last_run": await _last_run(client, runs[-1].workflow_id) if runs else None,
        }
    )


def _runs(found: ScheduleDescription) -> list[ScheduleActionExecutionStartWorkflow]:
    actions = [result.action for result in found.info.recent_actions]
    return [action for action in actions if isinstance(action, ScheduleActionExecutionStartWorkflow)]


async def _last_run(client: Client, workflow_id: str) -> LastRun | None:
    handle = client.get_workflow_handle(workflow_id)
    try:
        described = await handle.describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None  # past the namespace's retention
    status = described.status
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
        raise NotAppliedError(f"The schedule of {job.name} is not in this namespace.") from None


def _handle(client: Client, job: Job) -> ScheduleHandle:
    return client.get_schedule_handle(job.schedule_id)
