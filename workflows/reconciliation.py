"""Nightly workflow that compares Temporal with the database, page by page."""

from typing import Any

from temporalio import workflow

from workflows import activity_stubs
from workflows.scheduled_job import execute_page, read_argument

with workflow.unsafe.imports_passed_through():
    from subscription.reconciliation import (
        FinishReconciliation,
        ReconcilePage,
        ReconcileProgress,
        ReconcileReport,
        ReconcileStep,
    )

_PAGES_A_RUN = 500

_STEPS = {
    ReconcileStep.RECORD: (activity_stubs.reconcile_record, "subscriptions in the database"),
    ReconcileStep.RUNNING: (activity_stubs.reconcile_running, "unexpected workflows"),
    ReconcileStep.CLOSED: (activity_stubs.reconcile_closed, "orphaned histories"),
    ReconcileStep.ADJUSTMENTS: (activity_stubs.reconcile_adjustments, "adjustments"),
    ReconcileStep.INVOICES: (activity_stubs.reconcile_invoices, "invoices"),
}


@workflow.defn(name="ReconcileWorkflow")
class ReconcileWorkflow:
    """Check every page, repair what is safe to repair, and report. A retry resumes at the last page."""

    @workflow.run
    async def run(self, argument: Any = None) -> ReconcileReport:
        progress = read_argument(ReconcileProgress, argument)
        run = workflow.info().first_execution_run_id
        pages = 0
        while progress.step is not ReconcileStep.REPORT:
            if pages == _PAGES_A_RUN:
                workflow.continue_as_new(progress)
            progress = await _check_page(run, progress)
            workflow.set_current_details(
                f"{progress.checked:,} checked, {progress.queried:,} queried, {progress.found:,} findings."
            )
            pages += 1
        return await _report(run, progress)


async def _check_page(run: str, progress: ReconcileProgress) -> ReconcileProgress:
    stub, summary = _STEPS[progress.step]
    input = ReconcilePage(
        run=run,
        after=progress.after,
        grace_minutes=progress.grace_minutes,
        query_all=progress.query_all,
        has_unexpected=progress.has_unexpected,
    )
    return progress.after_page(await execute_page(stub, input, summary=summary))


async def _report(run: str, progress: ReconcileProgress) -> ReconcileReport:
    input = FinishReconciliation(run=run, checked=progress.checked, queried=progress.queried)
    report = await execute_page(activity_stubs.finish_reconciliation, input, summary="report")
    codes = "".join(f"\n- **{code}**: {number:,}" for code, number in report.by_code.items())
    workflow.set_current_details(report.summary + codes)
    return report
