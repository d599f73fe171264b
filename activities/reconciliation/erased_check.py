"""Check that nothing personal is left of an erased subscription (R31)."""

from temporalio.exceptions import ApplicationError

from activities.reconciliation import record_checks, repair, restore
from activities.reconciliation.context import ReconcileContext, SubscriptionCheck
from activities.reconciliation.record_snapshot import RecordSnapshot
from activities.reconciliation.record_snapshot import recorded as recorded_now
from adapters.postgres.subscription_repository import certify_histories, get_certificate
from adapters.temporal.executions import delete_runs, list_runs
from subscription.events import Erased
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.reconciliation import FindingCode


async def check_erased(
    means: ReconcileContext, look: SubscriptionCheck, recorded: RecordSnapshot
) -> RecordSnapshot:
    """What the record has of it afterwards."""
    if not any(isinstance(event, Erased) for event in recorded.events.values()):
        recorded = await _look_at_end(means, look, recorded)
    snapshot, told = recorded.snapshot, repair.expected_state(recorded, None)
    differing = recorded.differs_from(told) if told else []
    if snapshot is None:
        await look.finds(FindingCode.UNREADABLE, "Its row cannot be read.")
    elif missing := record_checks.missing_events(recorded, snapshot.sequence):
        await look.says(missing)
    elif differing:
        message = f"The row differs from its events in {', '.join(differing)}."
        await look.finds(
            FindingCode.ROW_DIFFERS, message, lambda: repair.rewrite_row(means.pool, recorded.id, None)
        )
    if left := record_checks.data_left(recorded):
        await look.says(left, lambda: repair.erase_again(means.pool, recorded.id, means.workspaces))
    erased_ago = recorded.certified.get("DATABASE")
    if erased_ago and erased_ago > means.grace and "HISTORIES" not in recorded.certified:
        await _look_at_histories(means, look)
    return recorded


async def _look_at_end(
    means: ReconcileContext, look: SubscriptionCheck, recorded: RecordSnapshot
) -> RecordSnapshot:
    """It is certified, and the record does not have it: the certificate was put back beside a backup."""
    certificate = await get_certificate(means.pool, recorded.id, "DATABASE")
    assert certificate is not None
    erased_at = certificate.erased_at
    message = f"By its certificate it was erased on {erased_at:%Y-%m-%d %H:%M} KST."
    await look.finds(
        FindingCode.END_MISSING,
        message,
        lambda: restore.record_end(means.pool, recorded.id, erased_at, means.book, means.workspaces),
    )
    return await recorded_now(means.pool, recorded.id) or recorded


async def _look_at_histories(means: ReconcileContext, look: SubscriptionCheck) -> None:
    """Its last run, which deletes the others and certifies that, has not done so yet."""
    subscription_id = look.subscription_id
    if (await means.workflows.standing(subscription_id)).runs:
        hindrance = await means.workflows.hindrance(subscription_id)
        message = "Its histories have not been deleted yet."
        await look.finds(FindingCode.DATA_LEFT, f"{message} {hindrance.words}" if hindrance else message)
    else:
        message = "The deletion of its histories was broken off."
        await look.finds(FindingCode.DATA_LEFT, message, lambda: delete_histories(means, subscription_id))


async def delete_histories(means: ReconcileContext, subscription_id: str) -> bool:
    """Delete whatever run there is, a running one too, and certify it if nobody has; whether all are gone."""
    workflow_id = WORKFLOW_ID_PREFIX + subscription_id
    runs = [run.run_id for run in await list_runs(means.client, workflow_id)]
    try:
        await delete_runs(means.client, workflow_id, runs)
    except ApplicationError:
        return False
    await certify_histories(means.pool, subscription_id, len(runs))
    return True
