"""Check an active subscription: row, events and workflow must agree."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from activities.reconciliation import record_checks, repair, restore
from activities.reconciliation.catalogue_restore import restore_catalogues
from activities.reconciliation.context import ReconcileContext, SubscriptionCheck
from activities.reconciliation.history_reader import HistoryTransitions, read_history
from activities.reconciliation.record_snapshot import RecordSnapshot, load_record
from activities.reconciliation.workflow_probe import Blocker, WorkflowStatus
from adapters.postgres.subscription_repository import certify_histories
from subscription.activity_contracts import DeleteHistoriesInput
from subscription.billing_window import wake_time
from subscription.business_calendar import KST
from subscription.catalogue import PriceBook
from subscription.deadlines import Deadline, next_deadline
from subscription.event_replay import without_transient_fields
from subscription.reconciliation import Finding, FindingCode
from subscription.state import Subscription

_OVERDUE_AFTER = timedelta(hours=1)


@dataclass(frozen=True)
class _Comparison:
    """Database record before the workflow settled, the workflow status, and the record afterwards."""

    before: RecordSnapshot
    status: WorkflowStatus
    has_settled: bool
    blocker: Blocker | None
    now: RecordSnapshot
    history: HistoryTransitions


async def check_active(
    context: ReconcileContext, check: SubscriptionCheck, before: RecordSnapshot
) -> RecordSnapshot | None:
    """Compare the record with its workflow; return the record afterwards, None if it no longer exists.

    A difference is checked again after the workflow has processed everything that is due. The subscription
    may have its own clock, or a transition may have been in progress.
    """
    status = await context.workflows.inspect(before.id)
    if status.state and not status.blocker and _is_consistent(context, before, status.state):
        await _report_reset(check, status)
        return before
    comparison = await _compare(context, before, status)
    if comparison is None:
        return await load_record(context.pool, before.id)
    if comparison.status.state:
        await restore_catalogues(context, check)
    ended = comparison.history.ended
    if ended and ended.erased_at:
        await _record_end(context, check, comparison, ended, ended.erased_at)
    else:
        await _correct(context, check, comparison)
        if not check.findings:
            await _report_reset(check, status)
    return await load_record(context.pool, before.id)


async def _report_reset(check: SubscriptionCheck, status: WorkflowStatus) -> None:
    """Report a harmless reset of the workflow; a harmful reset is found by its differences."""
    if status.reset_at is None:
        return
    message = f"Its workflow was reset on {status.reset_at.astimezone(KST):%Y-%m-%d %H:%M} KST."
    await check.add_finding(
        Finding(
            subscription_id=check.subscription_id,
            code=FindingCode.WORKFLOW_RESET,
            message=message,
            repaired=True,
        )
    )


def _is_consistent(context: ReconcileContext, record: RecordSnapshot, workflow: Subscription) -> bool:
    expected = repair.expected_state(record, workflow)
    return (
        expected is not None
        and not record.missing(workflow.sequence)
        and without_transient_fields(expected) == without_transient_fields(workflow)
        and not record.differs_from(expected)
        and repair.has_names_of(record, expected)
        and overdue_deadline(expected, context.book) is None
    )


async def _compare(
    context: ReconcileContext, before: RecordSnapshot, first: WorkflowStatus
) -> _Comparison | None:
    """Settle and inspect the workflow, and load the record again; None if the subscription was erased."""
    blocker = first.blocker
    if blocker and (blocker.never_answers or blocker.contradicts_record):
        # It cannot settle, and the wait would take its whole timeout.
        has_settled, status = False, first
    else:
        has_settled = await context.workflows.settle(before.id)
        status = await context.workflows.inspect(before.id)
        answers = has_settled and status.state is not None
        # A closed workflow is blocked by nothing.
        blocker = await context.workflows.find_blocker(before.id) if status.runs and not answers else None
    # Read the history before the record: the record must then contain every transition of the history.
    history = HistoryTransitions() if status.state else await read_history(context.histories, before.id)
    now = await load_record(context.pool, before.id)
    if now is None or now.is_erased:
        return None
    if status.state and now.missing(status.state.sequence):
        history = await read_history(context.histories, before.id)
    return _Comparison(before, status, has_settled, blocker, now, history)


async def _record_end(
    context: ReconcileContext,
    check: SubscriptionCheck,
    comparison: _Comparison,
    ended: DeleteHistoriesInput,
    erased_at: datetime,
) -> None:
    message = (
        f"Its workflow ended on {erased_at:%Y-%m-%d %H:%M} KST, canceled and erased, but the database has "
        f"no event after {comparison.now.latest}."
    )

    async def record_end() -> bool:
        is_done = await restore.record_end(
            context.pool, check.subscription_id, erased_at, context.book, context.workspaces
        )
        if is_done and not comparison.status.runs:
            await certify_histories(context.pool, check.subscription_id, len(ended.run_ids))
        return is_done

    await check.add(FindingCode.END_MISSING, message, record_end)


async def _correct(context: ReconcileContext, check: SubscriptionCheck, comparison: _Comparison) -> None:
    if await _restore_events(context, check, comparison):
        await _correct_row(context, check, comparison)
    await _correct_workflow(context, check, comparison)


async def _restore_events(
    context: ReconcileContext, check: SubscriptionCheck, comparison: _Comparison
) -> bool:
    """Restore missing events; return whether the record is complete."""
    workflow = comparison.status.state
    # Use the row only if neither the workflow nor its history contains the latest sequence number.
    latest = workflow or comparison.history.last_state or comparison.now.snapshot
    missing = record_checks.missing_events(comparison.now, latest.sequence if latest else 0)
    if missing is None:
        return True

    async def restore_missing() -> bool:
        is_complete = await restore.restore_events(
            context.pool, check.subscription_id, comparison.history, workflow
        )
        await restore.sync_workspace(context.pool, check.subscription_id, context.workspaces)
        return is_complete

    return await check.add_finding(missing, restore_missing)


async def _correct_row(context: ReconcileContext, check: SubscriptionCheck, comparison: _Comparison) -> None:
    now = await load_record(context.pool, check.subscription_id)
    assert now is not None
    workflow = comparison.status.state
    expected = repair.expected_state(now, workflow)
    if expected is None:
        if now.snapshot is None:
            await check.add(
                FindingCode.UNREADABLE, "Its row cannot be read, and no workflow contains its state."
            )
        return
    if workflow and workflow.sequence == now.latest and (fields := _differing_fields(expected, workflow)):
        message = f"Its events and its workflow differ in {', '.join(fields)}."
        await check.add(FindingCode.WORKFLOW_DIFFERS, message)
        return
    differing = now.differs_from(expected)
    if differing:
        message = f"The row differs from its events in {', '.join(differing)}."
        await check.add(
            FindingCode.ROW_DIFFERS,
            message,
            lambda: repair.rewrite_row(context.pool, check.subscription_id, workflow),
        )
    if not repair.has_names_of(now, expected):
        message = "Its reserved account names differ from its state."
        await check.add(
            FindingCode.NAME_DIFFERS,
            message,
            lambda: repair.reserve_names(context.pool, check.subscription_id),
        )


def _differing_fields(one: Subscription, other: Subscription) -> list[str]:
    return [
        name
        for name in Subscription.model_fields
        if getattr(without_transient_fields(one), name) != getattr(without_transient_fields(other), name)
    ]


async def _correct_workflow(
    context: ReconcileContext, check: SubscriptionCheck, comparison: _Comparison
) -> None:
    status, blocker = comparison.status, comparison.blocker
    if not status.runs:
        message = f"Its workflow was {status.closed_as}."
        await check.add(
            FindingCode.WORKFLOW_MISSING, message, lambda: _start_workflow(context, check.subscription_id)
        )
    elif _is_behind(comparison):
        assert status.state is not None
        message = (
            f"The database has events up to {comparison.before.latest}, the workflow up to "
            f"{status.state.sequence}."
        )
        await check.add(
            FindingCode.WORKFLOW_BEHIND,
            message,
            lambda: _start_workflow(context, check.subscription_id, replace=True),
        )
    elif blocker and (blocker.never_answers or not check.has_repaired):
        await check.add(blocker.code, blocker.message)
    else:
        await _check_deadline(context, check, comparison)


async def _start_workflow(context: ReconcileContext, subscription_id: str, *, replace: bool = False) -> bool:
    """Start a workflow, which resumes from the row; return False if the row cannot be read."""
    now = await load_record(context.pool, subscription_id)
    if now is None or now.snapshot is None:
        return False
    return await context.workflows.start(subscription_id, replace=replace)


def _is_behind(comparison: _Comparison) -> bool:
    """Return whether the workflow lacks events that were recorded before it settled.

    A workflow that cannot record anything, because it contradicts the record, also counts as behind.
    """
    workflow, blocker = comparison.status.state, comparison.blocker
    if workflow is None or workflow.sequence >= comparison.before.latest:
        return False
    return comparison.has_settled or (blocker is not None and blocker.contradicts_record)


async def _check_deadline(
    context: ReconcileContext, check: SubscriptionCheck, comparison: _Comparison
) -> None:
    before, now = (repair.expected_state(record, None) for record in (comparison.before, comparison.now))
    deadline = overdue_deadline(before, context.book) if before else None
    if now is None or deadline is None:
        return
    is_done = next_deadline(now) != deadline
    # If the workflow has settled without a change, the deadline is not due by the subscription's own clock.
    if is_done or not comparison.has_settled:
        message = (
            f"{deadline.what} was due on {deadline.at:%Y-%m-%d %H:%M} KST and was not processed in time."
        )
        await check.add_finding(
            Finding(
                subscription_id=check.subscription_id,
                code=FindingCode.DEADLINE_LONG_PAST,
                message=message,
                repaired=is_done,
            )
        )


def overdue_deadline(state: Subscription, book: PriceBook) -> Deadline | None:
    """Return the next deadline if it is overdue by the real clock."""
    deadline = next_deadline(state)
    latest = datetime.now(UTC) - _OVERDUE_AFTER
    # The wake time is never before the deadline, so most subscriptions do not need it.
    if deadline is None or deadline.at >= latest or wake_time(state, deadline, book) >= latest:
        return None
    return deadline
