"""Check one subscription and update its `NeedsAttention` flag."""

from collections.abc import Sequence

from activities.reconciliation import record_checks, repair
from activities.reconciliation.active_check import check_active
from activities.reconciliation.context import ReconcileContext, SubscriptionCheck, guarded
from activities.reconciliation.erased_check import check_erased
from activities.reconciliation.history_reader import transcript_of
from activities.reconciliation.record_snapshot import RecordSnapshot
from activities.reconciliation.restore import restore_people


async def check_subscription(means: ReconcileContext, recorded: RecordSnapshot) -> SubscriptionCheck:
    look = SubscriptionCheck(means.report, recorded.id)
    return await guarded(look, _examine(means, look, recorded))


async def show_attention(means: ReconcileContext, looks: Sequence[SubscriptionCheck]) -> None:
    """Raised on what needs somebody; lowered on what needed somebody at an earlier look and is well now."""
    needed_before = await means.report.needed_somebody([look.subscription_id for look in looks])
    for look in looks:
        if look.still_open:
            reason = ", ".join(sorted({finding.code for finding in look.still_open}))
            await guarded(look, means.workflows.show_attention(look.subscription_id, reason))
        elif look.subscription_id in needed_before:
            await guarded(look, means.workflows.show_attention(look.subscription_id, None))
        if look.subscription_id in needed_before:
            await means.report.close(look.subscription_id, look.still_open)


async def _examine(means: ReconcileContext, look: SubscriptionCheck, recorded: RecordSnapshot) -> None:
    now: RecordSnapshot | None = recorded
    if recorded.is_erased:
        now = await check_erased(means, look, recorded)
    else:
        now = await check_active(means, look, recorded)
    if now is not None:
        await _look_at_record(means, look, now)


async def _look_at_record(means: ReconcileContext, look: SubscriptionCheck, recorded: RecordSnapshot) -> None:
    for finding in record_checks.event_findings(recorded):
        await look.says(finding)
    if missing := record_checks.missing_lines(recorded):
        await look.says(missing, lambda: repair.insert_missing_lines(means.pool, recorded.id))
    if recorded.snapshot:
        if unexpected := record_checks.unexpected_lines(recorded, recorded.snapshot.customer_id):
            await look.says(unexpected)
        for finding in record_checks.charge_findings(recorded, recorded.snapshot, means.book):
            await look.says(finding)
    for finding in record_checks.adjustment_findings(recorded):
        await look.says(finding)
    if not recorded.is_erased and (lacking := record_checks.missing_data(recorded)):

        async def restored() -> bool:
            transcript = await transcript_of(means.histories, recorded.id)
            return await restore_people(means.pool, recorded.id, transcript)

        await look.says(lacking, restored)
