"""Daily workflow that deletes data past its retention period."""

from typing import Any

from temporalio import workflow

from workflows import activity_stubs
from workflows.scheduled_job import execute_page, read_argument

with workflow.unsafe.imports_passed_through():
    from subscription.batch import MemberFailure, first_failures
    from subscription.retention import (
        PurgeHistoriesInput,
        PurgeInput,
        PurgeReport,
        PurgeRowsInput,
        purge_report,
    )


@workflow.defn(name="PurgeWorkflow")
class PurgeWorkflow:
    """Delete orphaned histories, and rows past their retention period. Repeating it changes nothing."""

    @workflow.run
    async def run(self, argument: Any = None) -> PurgeReport:
        input = read_argument(PurgeInput, argument)
        histories, failed, failures = await _purge_histories(input.grace_minutes)
        purged = await execute_page(
            activity_stubs.purge_rows, PurgeRowsInput(), summary="rows past their retention period"
        )
        failed, failures = failed + len(purged.failed), (*failures, *purged.failed)
        report = purge_report(histories, purged.rows, failed, failures)
        workflow.set_current_details(report.summary)
        return report


async def _purge_histories(grace_minutes: int) -> tuple[int, int, tuple[MemberFailure, ...]]:
    histories, failed, cursor = 0, 0, ""
    failures: tuple[MemberFailure, ...] = ()
    while True:
        page = await execute_page(
            activity_stubs.purge_histories,
            PurgeHistoriesInput(grace_minutes=grace_minutes, after=cursor),
            summary="orphaned histories",
        )
        histories, failed = histories + page.histories, failed + len(page.failed)
        failures = first_failures((*failures, *page.failed))
        if page.next_after is None:
            return histories, failed, failures
        cursor = page.next_after
        workflow.set_current_details(f"{histories:,} histories deleted so far.")
