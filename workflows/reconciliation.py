"""Nightly workflow that compares Temporal with the database, page by page."""

from typing import Any

from temporalio import workflow

from workflows.scheduled_job import execute_page, read_argument

with workflow.unsafe.imports_passed_through():
    from subscription.reconciliation import (
        FinishReconciliation,
        ReconcilePage,
        ReconcilePageResult,
        ReconcileProgress,
        ReconcileReport,
        ReconcileStep,
    )

_PAGES_A_RUN = 500

_STEPS = {
    ReconcileStep.RECORD: ("reconcile_record", "subscriptions of the record"),
    ReconcileStep.RUNNING: ("reconcile_running", "running workflows"),
    ReconcileStep.CLOSED: ("reconcile_closed", "histories that should be gone"),
    ReconcileStep.ADJUSTMENTS: ("reconcile_adjustments", "adjustments"),
    ReconcileStep.INVOICES: ("reconcile_invoices", "invoices"),
}


@workflow.defn(name="ReconcileWorkflow")
class ReconcileWorkflow:
    """Repairs what is safe to repair, reports all; where it was broken off it goes on."""

    @workflow.run
    async def run(self, argument: Any = None) -> ReconcileReport:
        stage = read_argument(ReconcileProgress, argument)
        run = workflow.info().first_execution_run_id
        pages = 0
        while stage.step is not ReconcileStep.REPORT:
            if pages == _PAGES_A_RUN:
                workflow.continue_as_new(stage)
            stage = await _after_a_page(run, stage)
            workflow.set_current_details(f"{stage.looked_at:,} looked at, {stage.found:,} findings so far.")
            pages += 1
        return await _report(run, stage)


async def _after_a_page(run: str, stage: ReconcileProgress) -> ReconcileProgress:
    name, summary = _STEPS[stage.step]
    wanted = ReconcilePage(run=run, after=stage.after, grace_minutes=stage.grace_minutes)
    page: ReconcilePageResult = await execute_page(name, wanted, summary=summary)
    return stage.after_page(page)


async def _report(run: str, stage: ReconcileProgress) -> ReconcileReport:
    wanted = FinishReconciliation(run=run, looked_at=stage.looked_at)
    report: ReconcileReport = await execute_page("finish_reconciliation", wanted, summary="the report")
    codes = "".join(f"\n- **{code}**: {number:,}" for code, number in report.by_code.items())
    workflow.set_current_details(report.summary + codes)
    return report
