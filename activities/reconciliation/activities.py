"""Reconciliation activities, one page each."""

from collections.abc import Sequence
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client

from activities.batch import Batch
from activities.reconciliation.adjustment_check import check_adjustments
from activities.reconciliation.context import ReconcileContext, SubscriptionCheck, run_checks, unreadable
from activities.reconciliation.heartbeats import Heartbeats
from activities.reconciliation.history_reader import HistoryReader
from activities.reconciliation.invoice_check import invoice_findings
from activities.reconciliation.listed_workflows import ListedWorkflow
from activities.reconciliation.orphan_check import (
    check_orphaned_history,
    check_running_workflows,
    running_workflows_query,
    unknown_workflow_findings,
)
from activities.reconciliation.orphaned_histories import orphaned_history_page
from activities.reconciliation.record_page import check_record_page
from activities.reconciliation.report import Report
from activities.reconciliation.scope import Scope, load_scope
from activities.reconciliation.subscription_check import update_attention
from activities.reconciliation.workflow_probe import ANSWER_TIMEOUT, WaitBudget, WorkflowProbe
from adapters.postgres.pool import Pool
from adapters.postgres.price_book_repository import load_price_book
from adapters.postgres.workspace_provisioner import WorkspaceProvisioner
from adapters.temporal.executions import list_runs_page
from adapters.temporal.visibility import quote_visibility_value
from subscription.ids import is_subscription_id
from subscription.message_authentication import MessageSigner
from subscription.reconciliation import (
    ROTATION_NIGHTS,
    FinishReconciliation,
    ReconcilePage,
    ReconcilePageResult,
    ReconcileReport,
)

_PAGE_SIZE = 100
_LIST_SIZE = 1000


class ReconciliationActivities:
    """Every activity may be retried: findings and repairs of an interrupted attempt stay in the report.

    `release` identifies the code of this worker. Every workflow is queried once in `rotation_nights`, and has
    `answer_timeout` to answer a query or an update.
    """

    def __init__(
        self,
        pool: Pool,
        client: Client,
        workspaces: WorkspaceProvisioner,
        signer: MessageSigner,
        *,
        release: str = "",
        rotation_nights: int = ROTATION_NIGHTS,
        answer_timeout: timedelta = ANSWER_TIMEOUT,
    ) -> None:
        self._pool = pool
        self._signer = signer
        self._client = client
        self._workspaces = workspaces
        self._release = release
        self._rotation_nights = rotation_nights
        self._answer_timeout = answer_timeout

    @activity.defn
    async def reconcile_record(self, input: ReconcilePage) -> ReconcilePageResult:
        """Check a page of subscriptions in the database, and the running workflows in its range of IDs."""
        async with Heartbeats() as heartbeats:
            scope = await load_scope(
                self._pool, self._client, input, nights=self._rotation_nights, release=self._release
            )
            return await check_record_page(await self._context(input, scope), input.after, heartbeats)

    @activity.defn
    async def reconcile_running(self, input: ReconcilePage) -> ReconcilePageResult:
        """Check a page of running workflows: of unknown types, and unexpected ones if there are any."""
        query = running_workflows_query(activity.info().task_queue, of_subscriptions=input.has_unexpected)
        async with Heartbeats():
            context = await self._context(input)
            runs, next_after = await list_runs_page(self._client, query, input.after, _LIST_SIZE)
            unknown = unknown_workflow_findings(runs)
            for finding in unknown:
                await context.report.add(finding)
            listed = [
                ListedWorkflow(run.raw_info) for run in runs if run.workflow_type == "SubscriptionWorkflow"
            ]
            checks = await check_running_workflows(context, listed)
            page = await self._page_result(context, checks, next_after)
            return page.model_copy(update={"found": page.found + len(unknown)})

    @activity.defn
    async def reconcile_closed(self, input: ReconcilePage) -> ReconcilePageResult:
        """Check a page of closed runs for orphaned histories."""
        async with Heartbeats():
            context = await self._context(input)
            queue = activity.info().task_queue
            batch = Batch("reconcile")
            histories, next_after = await orphaned_history_page(
                self._client, self._pool, queue, context.grace, input.after, batch
            )
            # The retention job deletes histories with an invalid ID, which belong to no subscription.
            orphans = [history for history in histories if is_subscription_id(history.subscription_id)]
            checks = await run_checks(
                context,
                [
                    *(check_orphaned_history(context, history) for history in orphans),
                    *(unreadable(context, failure) for failure in batch.failures),
                ],
            )
            return await self._page_result(context, checks, next_after)

    @activity.defn
    async def reconcile_adjustments(self, input: ReconcilePage) -> ReconcilePageResult:
        """Check a page of completed adjustments for those that the ledger lacks."""
        query = "WorkflowType = 'AdjustmentWorkflow' AND ExecutionStatus = 'Completed' "
        query += f"AND TaskQueue = {quote_visibility_value(activity.info().task_queue)}"
        async with Heartbeats():
            context = await self._context(input)
            runs, next_after = await list_runs_page(self._client, query, input.after, _PAGE_SIZE)
            return await self._page_result(context, await check_adjustments(context, runs), next_after)

    @activity.defn
    async def reconcile_invoices(self, input: ReconcilePage) -> ReconcilePageResult:
        """Check a page of invoices, in order of number."""
        report = await self._report(input)
        findings, next_after = await invoice_findings(self._pool, input.after)
        for finding in findings:
            await report.add(finding)
        return ReconcilePageResult(checked=0, found=len(findings), next_after=next_after)

    @activity.defn
    async def finish_reconciliation(self, input: FinishReconciliation) -> ReconcileReport:
        finished_by = activity.info().workflow_run_id
        return await Report(self._pool, input.run).finish(input.checked, input.queried, finished_by)

    async def _report(self, input: ReconcilePage) -> Report:
        report = Report(self._pool, input.run)
        await report.begin()
        return report

    async def _context(self, input: ReconcilePage, scope: Scope | None = None) -> ReconcileContext:
        return ReconcileContext(
            pool=self._pool,
            client=self._client,
            workspaces=self._workspaces,
            book=await load_price_book(self._pool),
            report=await self._report(input),
            scope=scope or Scope.everything(self._rotation_nights),
            grace=timedelta(minutes=input.grace_minutes),
            workflows=WorkflowProbe(self._client, WaitBudget(self._answer_timeout)),
            histories=HistoryReader(self._client, self._signer),
        )

    async def _page_result(
        self, context: ReconcileContext, checks: Sequence[SubscriptionCheck], next_after: str | None
    ) -> ReconcilePageResult:
        await update_attention(context, checks)
        found = sum(len(check.findings) for check in checks)
        return ReconcilePageResult(checked=0, found=found, next_after=next_after)
