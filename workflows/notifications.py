"""Workflows that queue notices every day and retry their delivery."""

from contextlib import suppress
from datetime import date, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from workflows.scheduled_job import execute_page, read_argument

with workflow.unsafe.imports_passed_through():
    from subscription.batch import MemberFailure, failure_words, named
    from subscription.business_calendar import day_of
    from subscription.notice_outbox import (
        DeliverNoticesInput,
        DeliverNoticesResult,
        NoticesDeliveryInput,
        NoticesReport,
        NoticesWorkflowInput,
        QueueNoticesInput,
        QueueNoticesResult,
        retry_delay,
    )

_PAGES_A_RUN = 200
# Less than a day, for tomorrow's job begins another one.
_DELIVERY_PERIOD = timedelta(hours=20)
_SHORTEST_PAUSE = timedelta(seconds=1)


@workflow.defn(name="NoticesWorkflow")
class NoticesWorkflow:
    """Fills the outbox, sends what it can, and leaves the rest to `NoticesDeliveryWorkflow`.

    Its day is the one on which it works, not the one for which it was scheduled: what is told late must
    be true when it is read.
    """

    @workflow.run
    async def run(self, argument: Any = None) -> NoticesReport:
        stage = read_argument(NoticesWorkflowInput, argument)
        for _ in range(_PAGES_A_RUN):
            day = stage.day or day_of(workflow.now())
            page: QueueNoticesResult = await execute_page(
                "tell_notices", QueueNoticesInput(day=day, after=stage.after), summary=f"what is due on {day}"
            )
            stage = NoticesWorkflowInput(
                day=stage.day,
                after=page.next_after or "",
                told=stage.told + page.told,
                failed=stage.failed + len(page.failed),
                failures=named((*stage.failures, *page.failed)),
            )
            told = stage.told
            if page.next_after is None:
                break
            workflow.set_current_details(f"{told:,} new notices so far.")
        else:
            workflow.continue_as_new(stage)
        delivered = await _delivered(stage.day)
        if delivered.waiting and not delivered.no_server:
            await _start_delivery_workflow(stage.day)
        failed, failures = stage.failed + len(delivered.failed), (*stage.failures, *delivered.failed)
        report = NoticesReport(
            summary=_summary(told, delivered) + failure_words(failed, failures),
            failed=failed,
            failures=named(failures),
            day=day,
            told=told,
            sent=delivered.sent,
            given_up=delivered.given_up,
            waiting=delivered.waiting,
        )
        workflow.set_current_details(report.summary)
        return report


@workflow.defn(name="NoticesDeliveryWorkflow")
class NoticesDeliveryWorkflow:
    """Tries what waits in the outbox until nothing does, or until the next day's job is near."""

    @workflow.run
    async def run(self, argument: Any = None) -> None:
        wanted = read_argument(NoticesDeliveryInput, argument)
        ends, troubles, pause = workflow.now() + _DELIVERY_PERIOD, 1, retry_delay(1)
        while workflow.now() + pause < ends:
            await workflow.sleep(pause, summary="until the next attempt")
            delivered = await _delivered(wanted.day)
            workflow.set_current_details(_delivery_words(delivered))
            if not delivered.waiting or delivered.no_server:
                return
            troubles = troubles + 1 if delivered.trouble else 0
            pause = retry_delay(troubles) if delivered.trouble else _until_the_next(delivered)


async def _delivered(day: date | None) -> DeliverNoticesResult:
    """Page after page, until all that may be tried at present has been."""
    sent = given_up = 0
    failed: tuple[MemberFailure, ...] = ()
    while True:
        page: DeliverNoticesResult = await execute_page(
            "deliver_notices",
            DeliverNoticesInput(day=day or day_of(workflow.now())),
            summary="what waits in the outbox",
        )
        sent, given_up = sent + page.sent, given_up + page.given_up
        failed = named((*failed, *page.failed))
        if not page.more:
            return page.model_copy(update={"sent": sent, "given_up": given_up, "failed": failed})


async def _start_delivery_workflow(day: date | None) -> None:
    """In a workflow of its own, one at a time, so that the job's report need not wait."""
    # One that is under way tries these as well.
    with suppress(WorkflowAlreadyStartedError):
        await workflow.start_child_workflow(
            "NoticesDeliveryWorkflow",
            NoticesDeliveryInput(day=day),
            id=f"worksub-notices-delivery-{workflow.info().task_queue}",
            parent_close_policy=ParentClosePolicy.ABANDON,
            static_summary="tries again what could not be sent yet",
        )


def _until_the_next(delivered: DeliverNoticesResult) -> timedelta:
    return max(timedelta(seconds=delivered.next_in_seconds or 0), _SHORTEST_PAUSE)


def _summary(told: int, delivered: DeliverNoticesResult) -> str:
    return f"{told:,} new {'notice' if told == 1 else 'notices'}. {_delivery_words(delivered)}"


def _delivery_words(delivered: DeliverNoticesResult) -> str:
    if delivered.no_server:
        return f"No mail server is set; waiting in the outbox: {delivered.waiting:,}."
    words = f"{delivered.sent:,} sent, {delivered.given_up:,} given up, {delivered.waiting:,} waiting"
    return f"{words}: {delivered.trouble}." if delivered.trouble else f"{words}."
