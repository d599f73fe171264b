"""Reconciliation activities, one page each."""

from collections.abc import Sequence
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client

from activities.batch import Batch
from activities.reconciliation.adjustment_check import check_adjustments
from activities.reconciliation.context import ReconcileContext, SubscriptionCheck, run_checks, unreadable
from activities.reconciliation.history_reader import HistoryReader
from activities.reconciliation.invoice_check import invoice_findings
from activities.reconciliation.orphan_check import (
    check_orphaned_history,
    check_running_workflows,
    report_strangers,
)
from activities.reconciliation.orphaned_histories import leftover_page
from activities.reconciliation.record_snapshot import page_of_ids, recorded_page
from activities.reconciliation.report import Report
from activities.reconciliation.subscription_check import check_subscription, show_attention
from activities.reconciliation.workflow_probe import Patience, WorkflowProbe
from adapters.postgres.catalogue_repository import load_price_book
from adapters.postgres.pool import Pool
from adapters.postgres.workspace_provisioner import WorkspaceProvisioner
from adapters.temporal.executions import list_runs_page, quote_visibility_value
from subscription.ids import is_subscription_id
from subscription.message_authentication import Seals
from subscription.reconciliation import (
    FinishReconciliation,
    ReconcilePage,
    ReconcilePageResult,
    ReconcileReport,
)

_A_PAGE = 100


class ReconciliationActivities:
    """Each may be repeated: what an attempt found and repaired before it broke off stays in the report."""

    def __init__(self, pool: Pool, client: Client, workspaces: WorkspaceProvisioner, seals: Seals) -> None:
        self._pool = pool
        self._seals = seals
        self._client = client
        self._workspaces = workspaces

    @activity.defn
    async def reconcile_record(self, wanted: ReconcilePage) -> ReconcilePageResult:
        """Look at subscriptions of the record, in the order of their ids, each with its workflow."""
        means = await self._means(wanted)
        ids, batch = await page_of_ids(self._pool, wanted.after, _A_PAGE), Batch("reconcile")
        page = await recorded_page(self._pool, ids, batch)
        looks = await run_checks(
            [
                *(check_subscription(means, recorded) for recorded in page),
                *(unreadable(means, failure) for failure in batch.failures),
            ]
        )
        next_after = ids[-1] if len(ids) == _A_PAGE else None
        return await self._reported(means, looks, next_after, looked_at=len(ids))

    @activity.defn
    async def reconcile_running(self, wanted: ReconcilePage) -> ReconcilePageResult:
        """Look at running workflows for those that the record does not expect."""
        means = await self._means(wanted)
        begun_by = activity.info().current_attempt_scheduled_time - means.grace
        query = f"TaskQueue = {quote_visibility_value(activity.info().task_queue)} AND CloseTime IS NULL "
        query += f"AND StartTime <= '{begun_by.isoformat()}'"
        runs, next_after = await list_runs_page(self._client, query, wanted.after, _A_PAGE)
        strangers = await report_strangers(means, runs)
        of_subscriptions = [run for run in runs if run.workflow_type == "SubscriptionWorkflow"]
        looks = await check_running_workflows(means, of_subscriptions)
        page = await self._reported(means, looks, next_after)
        return page.model_copy(update={"found": page.found + strangers})

    @activity.defn
    async def reconcile_closed(self, wanted: ReconcilePage) -> ReconcilePageResult:
        """Look at closed runs for histories that should be gone."""
        means = await self._means(wanted)
        queue = activity.info().task_queue
        batch = Batch("reconcile")
        left, next_after = await leftover_page(
            self._client, self._pool, queue, means.grace, wanted.after, batch
        )
        # What no subscription can be called was none, and is only for the purge.
        known = [leftover for leftover in left if is_subscription_id(leftover.subscription_id)]
        looks = await run_checks(
            [
                *(check_orphaned_history(means, leftover) for leftover in known),
                *(unreadable(means, failure) for failure in batch.failures),
            ]
        )
        return await self._reported(means, looks, next_after)

    @activity.defn
    async def reconcile_adjustments(self, wanted: ReconcilePage) -> ReconcilePageResult:
        """Look at completed adjustments for those that the ledger does not have."""
        means = await self._means(wanted)
        query = f"{_of_this_queue('AdjustmentWorkflow')} AND ExecutionStatus = 'Completed'"
        runs, next_after = await list_runs_page(self._client, query, wanted.after, _A_PAGE)
        return await self._reported(means, await check_adjustments(means, runs), next_after)

    @activity.defn
    async def reconcile_invoices(self, wanted: ReconcilePage) -> ReconcilePageResult:
        """Look at invoices, in the order of their numbers."""
        means = await self._means(wanted)
        findings, next_after = await invoice_findings(self._pool, wanted.after)
        for finding in findings:
            await means.report.add(finding)
        return ReconcilePageResult(looked_at=0, found=len(findings), next_after=next_after)

    @activity.defn
    async def finish_reconciliation(self, wanted: FinishReconciliation) -> ReconcileReport:
        return await Report(self._pool, wanted.run).finish(wanted.looked_at)

    async def _means(self, wanted: ReconcilePage) -> ReconcileContext:
        report = Report(self._pool, wanted.run)
        await report.begin()
        return ReconcileContext(
            pool=self._pool,
            client=self._client,
            workspaces=self._workspaces,
            book=await load_price_book(self._pool),
            report=report,
            grace=timedelta(minutes=wanted.grace_minutes),
            workflows=WorkflowProbe(self._client, Patience()),
            histories=HistoryReader(self._client, self._seals),
        )

    async def _reported(
        self,
        means: ReconcileContext,
        looks: Sequence[SubscriptionCheck],
        next_after: str | None,
        looked_at: int = 0,
    ) -> ReconcilePageResult:
        await show_attention(means, looks)
        found = sum(len(look.found) for look in looks)
        return ReconcilePageResult(looked_at=looked_at, found=found, next_after=next_after)


def _of_this_queue(workflow: str) -> str:
    return f"WorkflowType = '{workflow}' AND TaskQueue = {quote_visibility_value(activity.info().task_queue)}"
