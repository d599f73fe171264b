"""Temporal against the record: workflows and histories that the record does not expect."""

from collections.abc import Sequence

from temporalio.client import WorkflowExecution as Run
from temporalio.exceptions import ApplicationError

from activities.leftovers import Leftover, erased_since
from activities.reconciling.erased import delete_histories
from activities.reconciling.examining import examine
from activities.reconciling.look import Look, Means, made
from activities.reconciling.recorded import recorded
from activities.reconciling.restoring import restore_row
from activities.reconciling.transcripts import transcript_of
from activities.runs import delete_runs
from activities.workspace import wanted_workspace
from subscription.effects import WORKFLOW_ID_PREFIX
from subscription.reconciliation import FindingCode
from subscription.state import State, Subscription


async def look_at_running(means: Means, runs: Sequence[Run]) -> list[Look]:
    """Running workflows: each must be of a subscription that the record has, and has not erased."""
    by_id = {run.id.removeprefix(WORKFLOW_ID_PREFIX): run for run in runs}
    known = await erased_since(means.pool, by_id)
    unknown = [
        _without_a_row(means, subscription_id) for subscription_id in by_id if subscription_id not in known
    ]
    erased = [
        _after_the_erasure(means, subscription_id)
        for subscription_id, age in known.items()
        if age is not None and age > means.grace and not _is_clearing(by_id[subscription_id])
    ]
    return await made([*unknown, *erased])


async def look_at_leftover(means: Means, leftover: Leftover) -> Look:
    """Histories of what is erased or was refused are deleted; what is lost is restored from them."""
    if leftover.lost:
        return await _without_a_row(means, leftover.subscription_id)
    look = Look(means.report, leftover.subscription_id)
    number = len(leftover.run_ids)
    message = f"{number} {'history was' if number == 1 else 'histories were'} left after the end."

    async def deleted() -> bool:
        try:
            await delete_runs(means.client, leftover.workflow_id, leftover.run_ids)
        except ApplicationError:
            return False
        return True

    await look.finds(FindingCode.DATA_LEFT, message, deleted)
    return look


async def _without_a_row(means: Means, subscription_id: str) -> Look:
    look = Look(means.report, subscription_id)
    standing = await means.workflows.standing(subscription_id)
    if await recorded(means.pool, subscription_id):  # it has just been entered
        return look
    workflow = standing.state
    if standing.runs and workflow is None:
        hindrance = await means.workflows.hindrance(subscription_id)
        words = hindrance.words if hindrance else "It does not say why."
        await look.finds(FindingCode.WORKFLOW_STUCK, f"Its workflow has neither begun nor ended. {words}")
        return look
    message = "The record does not have this subscription."
    restored = await look.finds(
        FindingCode.ROW_MISSING, message, lambda: _restored(means, subscription_id, workflow)
    )
    now = await recorded(means.pool, subscription_id) if restored else None
    if now is not None:
        look.found += (await examine(means, now)).found
    return look


async def _after_the_erasure(means: Means, subscription_id: str) -> Look:
    """A workflow that lives on, as in a Temporal that was restored from before the erasure, must not."""
    look = Look(means.report, subscription_id)
    await means.workflows.settled(subscription_id)
    if (await means.workflows.standing(subscription_id)).state:
        message = "A workflow lived on after the erasure."
        await look.finds(FindingCode.DATA_LEFT, message, lambda: delete_histories(means, subscription_id))
    return look


async def _restored(means: Means, subscription_id: str, workflow: Subscription | None) -> bool:
    transcript = await transcript_of(means.client, subscription_id)
    if not await restore_row(means.pool, subscription_id, transcript, workflow):
        return False
    now = await recorded(means.pool, subscription_id)
    if now is None or now.snapshot is None:
        return False
    if now.snapshot.account:
        await means.workspaces.put(wanted_workspace(now.snapshot))
    return True


def _is_clearing(run: Run) -> bool:
    """Whether it is the last run of an erased subscription, which deletes the others."""
    shown = {pair.key.name: pair.value for pair in run.typed_search_attributes}
    return shown.get("SubscriptionState") == State.ERASED
