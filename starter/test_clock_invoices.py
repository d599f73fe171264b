"""Invoices of the months that a test clock has passed. Only the local stack issues them."""

from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ActivityError, ApplicationError

from starter.schedules import JOBS
from subscription.business_calendar import KST, add_months, day_of, first_of_month
from subscription.refusals import Refusal, RefusalCode, RefusalError

[_JOB] = (job for job in JOBS if job.name == "invoices")


def days_of_job(begin: datetime, end: datetime) -> Iterator[date]:
    """Yield the days after `begin` and up to `end` on which the schedule runs the job `invoices`."""
    run = next_run_after(begin)
    while run <= end:
        yield run.date()
        run = next_run_after(run)


def next_run_after(instant: datetime) -> datetime:
    """Return the time of the first run of the job after an instant."""
    assert _JOB.day is not None
    month = first_of_month(day_of(instant))
    while True:
        run = datetime.combine(month.replace(day=_JOB.day), time(_JOB.hour, _JOB.minute), KST)
        if run > instant:
            return run
        month = add_months(month, 1)


async def issue_invoices_as_of(client: Client, task_queue: str, customer_id: str, day: date) -> int:
    """Run the job for one customer as the schedule would on this day; return the number of new invoices.

    Raises `RefusalError` (`NO_TEST_CLOCK`) if the worker is not that of the local stack.
    """
    try:
        report: dict[str, Any] = await client.execute_workflow(
            _JOB.workflow,
            {"customer_id": customer_id, "as_of": day.isoformat()},
            id=f"test-clock-invoices-{customer_id}-{day}",
            task_queue=task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary=f"invoices of {customer_id} as of {day}",
        )
    except WorkflowFailureError as error:
        cause = error.cause.cause if isinstance(error.cause, ActivityError) else error.cause
        if isinstance(cause, ApplicationError) and cause.type == RefusalCode.NO_TEST_CLOCK:
            raise RefusalError(Refusal.model_validate(cause.details[0])) from None
        raise
    issued: int = report["issued"]
    return issued
