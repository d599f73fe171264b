"""Check for workflows and histories that the database does not expect."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from temporalio import activity
from temporalio.client import WorkflowExecution as Run
from temporalio.exceptions import ApplicationError

from activities.reconciliation.catalogue_restore import restore_catalogues
from activities.reconciliation.context import ReconcileContext, SubscriptionCheck, run_check, run_checks
from activities.reconciliation.erased_check import delete_histories
from activities.reconciliation.history_reader import read_history
from activities.reconciliation.listed_workflows import ListedWorkflow
from activities.reconciliation.orphaned_histories import OrphanedHistory, time_since_erasure
from activities.reconciliation.record_snapshot import load_record
from activities.reconciliation.restore import restore_row, sync_workspace
from activities.reconciliation.subscription_check import check_subscription
from adapters.temporal.executions import delete_runs
from adapters.temporal.visibility import quote_visibility_value
from subscription.activity_contracts import CALLERS
from subscription.ids import is_subscription_id
from subscription.reconciliation import Finding, FindingCode

_WORKFLOW_TYPES = frozenset(workflow_type for callers in CALLERS.values() for workflow_type in callers)


async def unexpected_workflows(
    context: ReconcileContext, workflows: Iterable[ListedWorkflow]
) -> tuple[list[str], list[str]]:
    """Return the IDs of running workflows that the database lacks, and of those that it has erased.

    Those that began, or were erased, within the grace period may still be in progress.
    """
    started_before = activity.info().current_attempt_scheduled_time - context.grace
    by_id = {
        workflow.subscription_id: workflow
        for workflow in workflows
        if is_subscription_id(workflow.subscription_id) and workflow.started_at <= started_before
    }
    known = await time_since_erasure(context.pool, by_id)
    unrecorded = [subscription_id for subscription_id in by_id if subscription_id not in known]
    erased = [
        subscription_id
        for subscription_id, age in known.items()
        if age is not None and age > context.grace and not by_id[subscription_id].is_cleanup_run
    ]
    return unrecorded, erased


async def check_running_workflows(
    context: ReconcileContext, workflows: Iterable[ListedWorkflow]
) -> list[SubscriptionCheck]:
    """Restore subscriptions that the database lacks, and delete workflows that it has erased."""
    unrecorded, erased = await unexpected_workflows(context, workflows)
    return await run_checks(
        context,
        [
            *(_run_check(context, subscription_id, _check_unrecorded) for subscription_id in unrecorded),
            *(_run_check(context, subscription_id, _check_erased) for subscription_id in erased),
        ],
    )


def running_workflows_query(task_queue: str, *, of_subscriptions: bool) -> str:
    """Return the query of running workflows that the service does not have, with or without subscriptions."""
    expected = _WORKFLOW_TYPES - {"SubscriptionWorkflow"} if of_subscriptions else _WORKFLOW_TYPES
    excluded = ", ".join(quote_visibility_value(workflow_type) for workflow_type in sorted(expected))
    query = f"TaskQueue = {quote_visibility_value(task_queue)} AND CloseTime IS NULL"
    return f"{query} AND WorkflowType NOT IN ({excluded})"


def unknown_workflow_findings(runs: Sequence[Run]) -> list[Finding]:
    # The message contains neither ID nor type: the client that started the workflow chose them.
    message = "Run {} on the service's task queue is of a type that the service does not have."
    return [
        Finding(subscription_id=None, code=FindingCode.UNKNOWN_WORKFLOW, message=message.format(run.run_id))
        for run in runs
        if run.workflow_type not in _WORKFLOW_TYPES
    ]


async def check_orphaned_history(context: ReconcileContext, orphan: OrphanedHistory) -> SubscriptionCheck:
    """Delete orphaned histories; restore an unrecorded subscription from its histories."""

    async def delete(context: ReconcileContext, check: SubscriptionCheck) -> None:
        number = len(orphan.run_ids)
        message = f"{number} {'history was' if number == 1 else 'histories were'} left after the end."
        await check.add(FindingCode.DATA_LEFT, message, lambda: _delete(context, orphan))

    return await _run_check(
        context, orphan.subscription_id, _check_unrecorded if orphan.is_unrecorded else delete
    )


async def _run_check(
    context: ReconcileContext,
    subscription_id: str,
    step: Callable[[ReconcileContext, SubscriptionCheck], Awaitable[None]],
) -> SubscriptionCheck:
    check = SubscriptionCheck(context.report, subscription_id)
    return await run_check(check, step(context, check))


async def _check_unrecorded(context: ReconcileContext, check: SubscriptionCheck) -> None:
    """Restore a subscription that the database lacks, as far as its histories contain it."""
    subscription_id = check.subscription_id
    status = await context.workflows.inspect(subscription_id)
    if await load_record(context.pool, subscription_id):  # it has just been recorded
        return
    workflow = status.state
    if status.runs and workflow is None:
        blocker = await context.workflows.find_blocker(subscription_id)
        reason = blocker.message if blocker else "The reason is unknown."
        code = blocker.code if blocker else FindingCode.WORKFLOW_STUCK
        await check.add(code, f"Its workflow has neither started nor ended. {reason}")
        return

    history = await read_history(context.histories, subscription_id)
    if history.ended and history.ended.erased_at:
        at = f"{history.ended.erased_at:%Y-%m-%d %H:%M} KST"
        message = f"It was erased on {at}, but the database does not contain it: its charges are unknown."
        await check.add(FindingCode.ROW_MISSING, message)
        return

    if workflow:
        await restore_catalogues(context, check)

    async def restore() -> bool:
        if not await restore_row(context.pool, subscription_id, history, workflow):
            return False
        await sync_workspace(context.pool, subscription_id, context.workspaces)
        return True

    if await check.add(FindingCode.ROW_MISSING, "The database does not contain this subscription.", restore):
        now = await load_record(context.pool, subscription_id)
        check.findings += (await check_subscription(context, now)).findings if now else []


async def _check_erased(context: ReconcileContext, check: SubscriptionCheck) -> None:
    """Delete a workflow that is still running after the erasure, for example after a restore of Temporal."""
    await context.workflows.settle(check.subscription_id)
    if (await context.workflows.inspect(check.subscription_id)).state:
        message = "A workflow was still running after the erasure."
        await check.add(
            FindingCode.DATA_LEFT, message, lambda: delete_histories(context, check.subscription_id)
        )


async def _delete(context: ReconcileContext, orphan: OrphanedHistory) -> bool:
    try:
        await delete_runs(context.client, orphan.workflow_id, orphan.run_ids)
    except ApplicationError:
        return False
    return True
