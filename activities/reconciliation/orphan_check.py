"""Check for workflows and histories that the database does not expect."""

from collections.abc import Awaitable, Callable, Sequence

from temporalio.client import WorkflowExecution as Run
from temporalio.exceptions import ApplicationError

from activities.reconciliation.catalogue_restore import restore_catalogues
from activities.reconciliation.context import ReconcileContext, SubscriptionCheck, guarded, run_checks
from activities.reconciliation.erased_check import delete_histories
from activities.reconciliation.history_reader import transcript_of
from activities.reconciliation.orphaned_histories import OrphanedHistory, erased_since
from activities.reconciliation.record_snapshot import recorded
from activities.reconciliation.restore import restore_row, sync_workspace
from activities.reconciliation.subscription_check import check_subscription
from adapters.temporal.executions import delete_runs
from subscription.activity_contracts import CALLERS
from subscription.ids import WORKFLOW_ID_PREFIX, is_subscription_id
from subscription.reconciliation import Finding, FindingCode
from subscription.state import State

_TYPES = frozenset(each for callers in CALLERS.values() for each in callers)


async def check_running_workflows(means: ReconcileContext, runs: Sequence[Run]) -> list[SubscriptionCheck]:
    """Running workflows: each must be of a subscription that the record has, and has not erased."""
    named = ((run.id.removeprefix(WORKFLOW_ID_PREFIX), run) for run in runs)
    by_id = {subscription_id: run for subscription_id, run in named if is_subscription_id(subscription_id)}
    known = await erased_since(means.pool, by_id)
    lost = [subscription_id for subscription_id in by_id if subscription_id not in known]
    erased = [
        subscription_id
        for subscription_id, age in known.items()
        if age is not None and age > means.grace and not _is_clearing(by_id[subscription_id])
    ]
    return await run_checks(
        [
            *(_look(means, subscription_id, _look_at_lost) for subscription_id in lost),
            *(_look(means, subscription_id, _look_at_erased) for subscription_id in erased),
        ]
    )


async def report_strangers(means: ReconcileContext, runs: Sequence[Run]) -> int:
    """Report running workflows of a type that the service does not have, on its task queue."""
    strangers = [run for run in runs if run.workflow_type not in _TYPES]
    for run in strangers:
        # Its id and type are the words of whoever has started it.
        message = f"Run {run.run_id} on the service's task queue is of a type that the service does not have."
        finding = Finding(subscription_id=None, code=FindingCode.UNKNOWN_WORKFLOW, message=message)
        await means.report.add(finding)
    return len(strangers)


async def check_orphaned_history(means: ReconcileContext, leftover: OrphanedHistory) -> SubscriptionCheck:
    """Histories of what is erased or was refused are deleted; what is lost is restored from them."""

    async def delete(means: ReconcileContext, look: SubscriptionCheck) -> None:
        number = len(leftover.run_ids)
        message = f"{number} {'history was' if number == 1 else 'histories were'} left after the end."
        await look.finds(FindingCode.DATA_LEFT, message, lambda: _deleted(means, leftover))

    return await _look(means, leftover.subscription_id, _look_at_lost if leftover.lost else delete)


async def _look(
    means: ReconcileContext,
    subscription_id: str,
    looking: Callable[[ReconcileContext, SubscriptionCheck], Awaitable[None]],
) -> SubscriptionCheck:
    look = SubscriptionCheck(means.report, subscription_id)
    return await guarded(look, looking(means, look))


async def _look_at_lost(means: ReconcileContext, look: SubscriptionCheck) -> None:
    """The record does not have it: it is entered again, as far as its histories tell it."""
    subscription_id = look.subscription_id
    standing = await means.workflows.standing(subscription_id)
    if await recorded(means.pool, subscription_id):  # it has just been entered
        return
    workflow = standing.state
    if standing.runs and workflow is None:
        hindrance = await means.workflows.hindrance(subscription_id)
        words = hindrance.words if hindrance else "It does not say why."
        code = hindrance.code if hindrance else FindingCode.WORKFLOW_STUCK
        await look.finds(code, f"Its workflow has neither begun nor ended. {words}")
        return

    transcript = await transcript_of(means.histories, subscription_id)
    if transcript.ended and transcript.ended.erased_at:
        at = f"{transcript.ended.erased_at:%Y-%m-%d %H:%M} KST"
        message = (
            f"It was erased on {at}, and the record has never heard of it: what it was charged is unknown."
        )
        await look.finds(FindingCode.ROW_MISSING, message)
        return

    if workflow:
        await restore_catalogues(means, look)

    async def entered() -> bool:
        if not await restore_row(means.pool, subscription_id, transcript, workflow):
            return False
        await sync_workspace(means.pool, subscription_id, means.workspaces)
        return True

    if await look.finds(FindingCode.ROW_MISSING, "The record does not have this subscription.", entered):
        now = await recorded(means.pool, subscription_id)
        look.found += (await check_subscription(means, now)).found if now else []


async def _look_at_erased(means: ReconcileContext, look: SubscriptionCheck) -> None:
    """A workflow that lives on, as in a Temporal that was restored from before the erasure, must not."""
    await means.workflows.settled(look.subscription_id)
    if (await means.workflows.standing(look.subscription_id)).state:
        message = "A workflow lived on after the erasure."
        await look.finds(
            FindingCode.DATA_LEFT, message, lambda: delete_histories(means, look.subscription_id)
        )


async def _deleted(means: ReconcileContext, leftover: OrphanedHistory) -> bool:
    try:
        await delete_runs(means.client, leftover.workflow_id, leftover.run_ids)
    except ApplicationError:
        return False
    return True


def _is_clearing(run: Run) -> bool:
    """Whether it is the last run of an erased subscription, which deletes the others."""
    shown = {pair.key.name: pair.value for pair in run.typed_search_attributes}
    return shown.get("SubscriptionState") == State.ERASED
