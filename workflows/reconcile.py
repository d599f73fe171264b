"""The nightly workflow that compares Temporal with the record, page by page."""

from typing import Any

from temporalio import workflow

from workflows.jobs import one_page, read_argument

with workflow.unsafe.imports_passed_through():
    from subscription.reconciliation import Reconciled, ReconcilePage, ReconcileReport, ReconcileStage

_PAGES_A_RUN = 200


@workflow.defn(name="ReconcileWorkflow")
class ReconcileWorkflow:
    """Repairs what is safe to repair, reports all; where it was broken off it goes on."""

    @workflow.run
    async def run(self, argument: Any = None) -> ReconcileReport:
        stage = read_argument(ReconcileStage, argument)
        run = workflow.info().first_execution_run_id
        for _ in range(_PAGES_A_RUN):
            wanted = ReconcilePage(run=run, after=stage.after, grace_minutes=stage.grace_minutes)
            page: Reconciled = await one_page("reconcile_page", wanted, summary="subscriptions of the record")
            stage = _further(stage, page)
            if page.next_after is None:
                break
            workflow.set_current_details(f"{stage.looked_at:,} looked at, {stage.found:,} findings so far.")
        else:
            workflow.continue_as_new(stage)
        return await self._finish(run, stage)

    async def _finish(self, run: str, stage: ReconcileStage) -> ReconcileReport:
        strays: Reconciled = await one_page(
            "reconcile_strays",
            ReconcilePage(run=run, grace_minutes=stage.grace_minutes),
            summary="workflows that the record does not expect",
        )
        stage = _further(stage, strays)
        report = ReconcileReport(
            summary=_summary(stage),
            run=run,
            looked_at=stage.looked_at,
            found=stage.found,
            repaired=stage.repaired,
        )
        await one_page("finish_reconciliation", report, summary="the report")
        workflow.set_current_details(report.summary)
        return report


def _further(stage: ReconcileStage, page: Reconciled) -> ReconcileStage:
    return ReconcileStage(
        grace_minutes=stage.grace_minutes,
        after=page.next_after or "",
        looked_at=stage.looked_at + page.looked_at,
        found=stage.found + page.found,
        repaired=stage.repaired + page.repaired,
    )


def _summary(stage: ReconcileStage) -> str:
    looked = f"{stage.looked_at:,} looked at"
    if not stage.found:
        return f"{looked}, nothing is amiss."
    open_ones = stage.found - stage.repaired
    return f"{looked}, {stage.found:,} findings: {stage.repaired:,} repaired, {open_ones:,} need somebody."
