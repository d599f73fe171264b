"""The daily workflow that deletes what is past its retention."""

from typing import Any

from temporalio import workflow

from workflows.jobs import one_page, read_argument

with workflow.unsafe.imports_passed_through():
    from subscription.purge import (
        HistoriesPurged,
        PurgeHistories,
        PurgeReport,
        PurgeRows,
        PurgeWanted,
        RowsPurged,
        purge_report,
    )


@workflow.defn(name="PurgeWorkflow")
class PurgeWorkflow:
    """Deletes histories that should be gone, and rows past their retention; again, there is nothing left."""

    @workflow.run
    async def run(self, argument: Any = None) -> PurgeReport:
        wanted = read_argument(PurgeWanted, argument)
        histories = await _histories(wanted.grace_minutes)
        purged: RowsPurged = await one_page("purge_rows", PurgeRows(), summary="rows past their retention")
        report = purge_report(histories, purged.rows)
        workflow.set_current_details(report.summary)
        return report


async def _histories(grace_minutes: int) -> int:
    histories, after = 0, ""
    while True:
        page: HistoriesPurged = await one_page(
            "purge_histories",
            PurgeHistories(grace_minutes=grace_minutes, after=after),
            summary="histories that should be gone",
        )
        histories += page.histories
        if page.next_after is None:
            return histories
        after = page.next_after
        workflow.set_current_details(f"{histories:,} histories deleted so far.")
