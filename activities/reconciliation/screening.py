"""Screening: a subscription whose record is consistent and agrees with Temporal's list needs no query."""

from activities.reconciliation import record_checks, repair
from activities.reconciliation.active_check import overdue_deadline
from activities.reconciliation.context import ReconcileContext
from activities.reconciliation.listed_workflows import ListedWorkflow
from activities.reconciliation.record_snapshot import RecordSnapshot
from subscription.state import Subscription


def is_sound(context: ReconcileContext, record: RecordSnapshot, listed: ListedWorkflow | None) -> bool:
    """Return whether the record of an active subscription has no finding, and the list shows its state.

    Lists lag behind the workflows. A difference is therefore no finding yet: the complete check decides.
    """
    try:
        replayed = repair.replayed(record, context.book)
        return (
            listed is not None
            and replayed is not None
            and not replayed.mismatches
            and listed.agrees(replayed.state, context.scope.changed_since)
            and _is_consistent(context, record, replayed.state)
        )
    except Exception:  # The complete check reports what cannot be read.
        return False


def _is_consistent(context: ReconcileContext, record: RecordSnapshot, expected: Subscription) -> bool:
    return not (
        record.differs_from(expected)
        or not repair.has_names_of(record, expected)
        or overdue_deadline(expected, context.book)
        or any(record_checks.event_findings(record))
        or record_checks.missing_lines(record)
        or record_checks.unexpected_lines(record, expected.customer_id)
        or any(record_checks.adjustment_findings(record))
        or record_checks.miscounted_members(record)
        or record_checks.missing_data(record)
    )
