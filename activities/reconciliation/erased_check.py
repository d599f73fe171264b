"""Check that nothing personal is left of an erased subscription (R31)."""

from temporalio.exceptions import ApplicationError

from activities.reconciliation import record_checks, repair, restore
from activities.reconciliation.context import ReconcileContext, SubscriptionCheck
from activities.reconciliation.record_snapshot import RecordSnapshot, load_record
from adapters.postgres.erasure_certificates import get_certificate
from adapters.postgres.subscription_repository import certify_histories
from adapters.temporal.executions import delete_runs, list_runs
from subscription.events import Erased
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.reconciliation import FindingCode


async def check_erased(
    context: ReconcileContext, check: SubscriptionCheck, record: RecordSnapshot
) -> RecordSnapshot:
    """Check an erased subscription; return its record afterwards."""
    if not any(isinstance(event, Erased) for event in record.events.values()):
        record = await _record_missing_end(context, check, record)
    snapshot, expected = record.snapshot, repair.expected_state(record, None)
    differing = record.differs_from(expected) if expected else []
    if snapshot is None:
        await check.add(FindingCode.UNREADABLE, "Its row cannot be read.")
    elif missing := record_checks.missing_events(record, snapshot.sequence):
        await check.add_finding(missing)
    elif differing:
        message = f"The row differs from its events in {', '.join(differing)}."
        await check.add(
            FindingCode.ROW_DIFFERS, message, lambda: repair.rewrite_row(context.pool, record.id, None)
        )
    if remaining := record_checks.remaining_data(record):
        await check.add_finding(
            remaining, lambda: repair.erase_again(context.pool, record.id, context.workspaces)
        )
    erased_ago = record.certified.get("DATABASE")
    if erased_ago and erased_ago > context.grace and "HISTORIES" not in record.certified:
        await _check_histories(context, check)
    return record


async def _record_missing_end(
    context: ReconcileContext, check: SubscriptionCheck, record: RecordSnapshot
) -> RecordSnapshot:
    """Record an erasure that is certified but missing in the database.

    This happens when the certificate is inserted after the restore of a backup.
    """
    certificate = await get_certificate(context.pool, record.id, "DATABASE")
    assert certificate is not None
    erased_at = certificate.erased_at
    message = f"According to its certificate it was erased on {erased_at:%Y-%m-%d %H:%M} KST."
    await check.add(
        FindingCode.END_MISSING,
        message,
        lambda: restore.record_end(context.pool, record.id, erased_at, context.book, context.workspaces),
    )
    return await load_record(context.pool, record.id) or record


async def _check_histories(context: ReconcileContext, check: SubscriptionCheck) -> None:
    """Report histories that the cleanup run has not yet deleted; delete them if no cleanup run exists."""
    subscription_id = check.subscription_id
    if (await context.workflows.inspect(subscription_id)).runs:
        blocker = await context.workflows.find_blocker(subscription_id)
        message = "Its histories have not been deleted yet."
        await check.add(FindingCode.DATA_LEFT, f"{message} {blocker.message}" if blocker else message)
    else:
        message = "The deletion of its histories was interrupted."
        await check.add(FindingCode.DATA_LEFT, message, lambda: delete_histories(context, subscription_id))


async def delete_histories(context: ReconcileContext, subscription_id: str) -> bool:
    """Delete every run, including a running one, and certify the deletion; return whether all are deleted."""
    workflow_id = WORKFLOW_ID_PREFIX + subscription_id
    runs = [run.run_id for run in await list_runs(context.client, workflow_id)]
    try:
        await delete_runs(context.client, workflow_id, runs)
    except ApplicationError:
        return False
    await certify_histories(context.pool, subscription_id, len(runs))
    return True
