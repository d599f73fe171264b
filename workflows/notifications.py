"""Workflow that queues notices every day. The workers send them (`adapters/email/dispatcher.py`)."""

from typing import Any

from temporalio import workflow

from workflows import activity_stubs
from workflows.scheduled_job import execute_page, read_argument

with workflow.unsafe.imports_passed_through():
    from subscription.batch import failures_message, first_failures
    from subscription.business_calendar import day_of
    from subscription.notice_outbox import (
        NoticesReport,
        NoticesWorkflowInput,
        QueueNoticesInput,
        QueueNoticesResult,
    )

_PAGES_A_RUN = 200


@workflow.defn(name="NoticesWorkflow")
class NoticesWorkflow:
    """Queue the notices that are due.

    The day is the one on which the workflow runs, not the scheduled one: a late notice must be true when it
    is read.
    """

    @workflow.run
    async def run(self, argument: Any = None) -> NoticesReport:
        progress = read_argument(NoticesWorkflowInput, argument)
        for _ in range(_PAGES_A_RUN):
            day = progress.day or day_of(workflow.now())
            page = await execute_page(
                activity_stubs.queue_notices,
                QueueNoticesInput(day=day, after=progress.after),
                summary=f"notices due on {day}",
            )
            progress = NoticesWorkflowInput(
                day=progress.day,
                after=page.next_after or "",
                queued=progress.queued + page.queued,
                failed=progress.failed + len(page.failed),
                failures=first_failures((*progress.failures, *page.failed)),
            )
            if page.next_after is None:
                break
            workflow.set_current_details(f"{progress.queued:,} new notices so far.")
        else:
            workflow.continue_as_new(progress)
        report = NoticesReport(
            summary=_summary(progress.queued, page) + failures_message(progress.failed, progress.failures),
            day=day,
            queued=progress.queued,
            waiting=page.waiting,
            failed=progress.failed,
            failures=progress.failures,
        )
        workflow.set_current_details(report.summary)
        return report


def _summary(queued: int, page: QueueNoticesResult) -> str:
    new = f"{queued:,} new {'notice' if queued == 1 else 'notices'}."
    if page.no_server:
        return f"{new} No mail server is set; waiting in the outbox: {page.waiting:,}."
    return f"{new} Waiting to be sent: {page.waiting:,}."
