"""Check one subscription and update its `NeedsAttention` flag."""

from collections.abc import Sequence

from activities.reconciliation import record_checks, repair
from activities.reconciliation.active_check import check_active
from activities.reconciliation.context import ReconcileContext, SubscriptionCheck, run_check
from activities.reconciliation.erased_check import check_erased
from activities.reconciliation.history_reader import read_history
from activities.reconciliation.record_snapshot import RecordSnapshot
from activities.reconciliation.restore import restore_contacts


async def check_subscription(context: ReconcileContext, record: RecordSnapshot) -> SubscriptionCheck:
    check = SubscriptionCheck(context.report, record.id)
    return await run_check(check, _check_workflow_and_record(context, check, record))


async def update_attention(context: ReconcileContext, checks: Sequence[SubscriptionCheck]) -> None:
    """Set `NeedsAttention` on subscriptions with open findings; clear it on those without.

    Clear it only if an earlier run has left an open finding.
    """
    had_findings = await context.report.ids_with_open_findings([check.subscription_id for check in checks])
    for check in checks:
        if check.still_open:
            reason = ", ".join(sorted({finding.code for finding in check.still_open}))
            await run_check(check, context.workflows.set_attention(check.subscription_id, reason))
        elif check.subscription_id in had_findings:
            await run_check(check, context.workflows.set_attention(check.subscription_id, None))
        if check.subscription_id in had_findings:
            await context.report.close(check.subscription_id, check.still_open)


async def _check_workflow_and_record(
    context: ReconcileContext, check: SubscriptionCheck, record: RecordSnapshot
) -> None:
    now: RecordSnapshot | None = record
    if record.is_erased:
        now = await check_erased(context, check, record)
    else:
        now = await check_active(context, check, record)
    if now is not None:
        await _check_record(context, check, now)


async def _check_record(context: ReconcileContext, check: SubscriptionCheck, record: RecordSnapshot) -> None:
    for finding in record_checks.event_findings(record):
        await check.add_finding(finding)
    if missing := record_checks.missing_lines(record):
        await check.add_finding(missing, lambda: repair.insert_missing_lines(context.pool, record.id))
    if record.snapshot:
        if unexpected := record_checks.unexpected_lines(record, record.snapshot.customer_id):
            await check.add_finding(unexpected)
        for finding in record_checks.charge_findings(record, record.snapshot, context.book):
            await check.add_finding(finding)
    for finding in record_checks.adjustment_findings(record):
        await check.add_finding(finding)
    if miscounted := record_checks.miscounted_members(record):
        await check.add_finding(miscounted, lambda: repair.count_members(context.pool, record.id))
    if not record.is_erased and (missing_data := record_checks.missing_data(record)):

        async def restore() -> bool:
            history = await read_history(context.histories, record.id)
            return await restore_contacts(context.pool, record.id, history)

        await check.add_finding(missing_data, restore)
