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
    report_unknown_workflows,
)
from activities.reconciliation.orphaned_histories import orphaned_history_page
from activities.reconciliation.record_snapshot import page_of_ids, recorded_page
from activities.reconciliation.report import Report
from activities.reconciliation.subscription_check import check_subscription, update_attention
from activities.reconciliation.workflow_probe import ANSWER_TIMEOUT, WaitBudget, WorkflowProbe
from adapters.postgres.catalogue_repository import load_price_book
from adapters.postgres.pool import Pool
from adapters.postgres.workspace_provisioner import WorkspaceProvisioner
from adapters.temporal.executions import list_runs_page
from adapters.temporal.visibility import quote_visibility_value
from subscription.ids import is_subscription_id
from subscription.message_authentication import MessageSigner
from subscription.reconciliation import (
    FinishReconciliation,
    ReconcilePage,
    ReconcilePageResult,
    ReconcileReport,
)

_PAGE_SIZE = 100


class ReconciliationActivities:
    """Every activity may be retried: findings and repairs of an interrupted attempt stay in the report.

    `answer_timeout` is the time that a workflow has to answer a query or an update.
    """

    def __init__(
        self,
        pool: Pool,
        client: Client,
        workspaces: WorkspaceProvisioner,
        signer: MessageSigner,
        *,
        answer_timeout: timedelta = ANSWER_TIMEOUT,
    ) -> None:
        self._pool = pool
        self._signer = signer
        self._client = client
        self._workspaces = workspaces
        self._answer_timeout = answer_timeout

    @activity.defn
    async def reconcile_record(self, input: ReconcilePage) -> ReconcilePageResult:
        """Check a page of subscriptions in the database, in order of ID, each against its workflow."""
        context = await self._context(input)
        ids, batch = await page_of_ids(self._pool, input.after, _PAGE_SIZE), Batch("reconcile")
        page = await recorded_page(self._pool, ids, batch)
        checks = await run_checks(
            [
                *(check_subscription(context, record) for record in page),
                *(unreadable(context, failure) for failure in batch.failures),
            ]
        )
        next_after = ids[-1] if len(ids) == _PAGE_SIZE else None
        return await self._page_result(context, checks, next_after, checked=len(ids))

    @activity.defn
    async def reconcile_running(self, input: ReconcilePage) -> ReconcilePageResult:
        """Check a page of running workflows for those that the database does not expect."""
        context = await self._context(input)
        started_before = activity.info().current_attempt_scheduled_time - context.grace
        query = f"TaskQueue = {quote_visibility_value(activity.info().task_queue)} AND CloseTime IS NULL "
        query += f"AND StartTime <= '{started_before.isoformat()}'"
        runs, next_after = await list_runs_page(self._client, query, input.after, _PAGE_SIZE)
        unknown = await report_unknown_workflows(context, runs)
        of_subscriptions = [run for run in runs if run.workflow_type == "SubscriptionWorkflow"]
        checks = await check_running_workflows(context, of_subscriptions)
        page = await self._page_result(context, checks, next_after)
        return page.model_copy(update={"found": page.found + unknown})

    @activity.defn
    async def reconcile_closed(self, input: ReconcilePage) -> ReconcilePageResult:
        """Check a page of closed runs for orphaned histories."""
        context = await self._context(input)
        queue = activity.info().task_queue
        batch = Batch("reconcile")
        histories, next_after = await orphaned_history_page(
            self._client, self._pool, queue, context.grace, input.after, batch
        )
        # A history with an invalid subscription ID belongs to no subscription; the retention job deletes it.
        orphans = [history for history in histories if is_subscription_id(history.subscription_id)]
        checks = await run_checks(
            [
                *(check_orphaned_history(context, history) for history in orphans),
                *(unreadable(context, failure) for failure in batch.failures),
            ]
        )
        return await self._page_result(context, checks, next_after)

    @activity.defn
    async def reconcile_adjustments(self, input: ReconcilePage) -> ReconcilePageResult:
        """Check a page of completed adjustments for those that the ledger lacks."""
        context = await self._context(input)
        query = f"{_workflows_of_queue('AdjustmentWorkflow')} AND ExecutionStatus = 'Completed'"
        runs, next_after = await list_runs_page(self._client, query, input.after, _PAGE_SIZE)
        return await self._page_result(context, await check_adjustments(context, runs), next_after)

    @activity.defn
    async def reconcile_invoices(self, input: ReconcilePage) -> ReconcilePageResult:
        """Check a page of invoices, in order of number."""
        context = await self._context(input)
        findings, next_after = await invoice_findings(self._pool, input.after)
        for finding in findings:
            await context.report.add(finding)
        return ReconcilePageResult(checked=0, found=len(findings), next_after=next_after)

    @activity.defn
    async def finish_reconciliation(self, input: FinishReconciliation) -> ReconcileReport:
        return await Report(self._pool, input.run).finish(input.checked)

    async def _context(self, input: ReconcilePage) -> ReconcileContext:
        report = Report(self._pool, input.run)
        await report.begin()
        return ReconcileContext(
            pool=self._pool,
            client=self._client,
            workspaces=self._workspaces,
            book=await load_price_book(self._pool),
            report=report,
            grace=timedelta(minutes=input.grace_minutes),
            workflows=WorkflowProbe(self._client, WaitBudget(self._answer_timeout)),
            histories=HistoryReader(self._client, self._signer),
        )

    async def _page_result(
        self,
        context: ReconcileContext,
        checks: Sequence[SubscriptionCheck],
        next_after: str | None,
        checked: int = 0,
    ) -> ReconcilePageResult:
        await update_attention(context, checks)
        found = sum(len(check.findings) for check in checks)
        return ReconcilePageResult(checked=checked, found=found, next_after=next_after)


def _workflows_of_queue(workflow: str) -> str:
    return f"WorkflowType = '{workflow}' AND TaskQueue = {quote_visibility_value(activity.info().task_queue)}"
