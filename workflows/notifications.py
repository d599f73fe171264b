"""Workflows that queue notices every day and retry their delivery."""

from contextlib import suppress
from datetime import date, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from workflows import activity_stubs
from workflows.scheduled_job import execute_page, read_argument

with workflow.unsafe.imports_passed_through():
    from subscription.batch import MemberFailure, failures_message, first_failures
    from subscription.business_calendar import day_of
    from subscription.notice_outbox import (
        DeliverNoticesInput,
        DeliverNoticesResult,
        NoticesDeliveryInput,
        NoticesReport,
        NoticesWorkflowInput,
        QueueNoticesInput,
        retry_delay,
    )

_PAGES_A_RUN = 200
# Less than a day, because the next day's job starts another delivery workflow.
_DELIVERY_PERIOD = timedelta(hours=20)
_SHORTEST_PAUSE = timedelta(seconds=1)


@workflow.defn(name="NoticesWorkflow")
class NoticesWorkflow:
    """Fill the outbox, send what can be sent, and leave the rest to `NoticesDeliveryWorkflow`.

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
            queued = progress.queued
            if page.next_after is None:
                break
            workflow.set_current_details(f"{queued:,} new notices so far.")
        else:
            workflow.continue_as_new(progress)
        result = await _deliver(progress.day)
        if result.waiting and not result.no_server:
            await _start_delivery_workflow(progress.day)
        failed, failures = progress.failed + len(result.failed), (*progress.failures, *result.failed)
        report = NoticesReport(
            summary=_summary(queued, result) + failures_message(failed, failures),
            failed=failed,
            failures=first_failures(failures),
            day=day,
            queued=queued,
            sent=result.sent,
            undeliverable=result.undeliverable,
            waiting=result.waiting,
        )
        workflow.set_current_details(report.summary)
        return report


@workflow.defn(name="NoticesDeliveryWorkflow")
class NoticesDeliveryWorkflow:
    """Retry the notices in the outbox until it is empty or the next day's job is near."""

    @workflow.run
    async def run(self, argument: Any = None) -> None:
        input = read_argument(NoticesDeliveryInput, argument)
        ends_at, failed_attempts, pause = workflow.now() + _DELIVERY_PERIOD, 1, retry_delay(1)
        while workflow.now() + pause < ends_at:
            await workflow.sleep(pause, summary="until the next attempt")
            result = await _deliver(input.day)
            workflow.set_current_details(_delivery_summary(result))
            if not result.waiting or result.no_server:
                return
            failed_attempts = failed_attempts + 1 if result.trouble else 0
            pause = retry_delay(failed_attempts) if result.trouble else _time_until_next(result)


async def _deliver(day: date | None) -> DeliverNoticesResult:
    """Deliver page after page, until every notice that may be tried now has been tried."""
    sent = undeliverable = 0
    failed: tuple[MemberFailure, ...] = ()
    while True:
        page = await execute_page(
            activity_stubs.deliver_notices,
            DeliverNoticesInput(day=day or day_of(workflow.now())),
            summary="notices waiting in the outbox",
        )
        sent, undeliverable = sent + page.sent, undeliverable + page.undeliverable
        failed = first_failures((*failed, *page.failed))
        if not page.more:
            return page.model_copy(update={"sent": sent, "undeliverable": undeliverable, "failed": failed})


async def _start_delivery_workflow(day: date | None) -> None:
    """Start one delivery workflow, so that the report of the job does not wait for retries."""
    # A delivery workflow that is already running also tries these notices.
    with suppress(WorkflowAlreadyStartedError):
        await workflow.start_child_workflow(
            "NoticesDeliveryWorkflow",
            NoticesDeliveryInput(day=day),
            id=f"worksub-notices-delivery-{workflow.info().task_queue}",
            parent_close_policy=ParentClosePolicy.ABANDON,
            static_summary="retry the delivery of waiting notices",
        )


def _time_until_next(result: DeliverNoticesResult) -> timedelta:
    return max(timedelta(seconds=result.next_in_seconds or 0), _SHORTEST_PAUSE)


def _summary(queued: int, result: DeliverNoticesResult) -> str:
    return f"{queued:,} new {'notice' if queued == 1 else 'notices'}. {_delivery_summary(result)}"


def _delivery_summary(result: DeliverNoticesResult) -> str:
    if result.no_server:
        return f"No mail server is set; waiting in the outbox: {result.waiting:,}."
    summary = f"{result.sent:,} sent, {result.undeliverable:,} given up, {result.waiting:,} waiting"
    return f"{summary}: {result.trouble}." if result.trouble else f"{summary}."
