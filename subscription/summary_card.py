"""Markdown summary of a subscription for the Temporal Web UI. Contains no personal data."""

from datetime import datetime

from subscription.business_calendar import day_of, first_of_month
from subscription.deadlines import next_deadline
from subscription.labels import deadline_label, renewal_label, reservation_label
from subscription.ledger import service_fees
from subscription.messages import PLAIN, format_message
from subscription.request import Request
from subscription.state import Access, State, Subscription


def workflow_summary(of: Request | Subscription) -> str:
    """Return the workflow's summary.

    Temporal cannot change it later, so it contains only the billing account and no personal data (R31).
    """
    return f"{of.customer_id}: {of.plan}, {PLAIN.members(of.members)}, {of.platform}"


def summary_card(state: Subscription, now: datetime) -> str:
    """Return the summary for operators; `now` is the time of the subscription's clock."""
    rows = [
        ("Customer", state.customer_id),
        ("State", state.state.value),
        ("Access", _format_access(state)),
        ("Plan", f"{state.plan}, {PLAIN.members(state.members)}"),
    ]
    if state.state.accepts_commands:
        rows += _upcoming_rows(state)
    if state.state is State.ACTIVE:
        rows.append((f"Due so far in {PLAIN.month(day_of(now))}", PLAIN.krw(_due_so_far(state, now))))
    return "\n".join(f"- **{name}**: {value}" for name, value in rows)


def _format_access(state: Subscription) -> str:
    if state.access is Access.RESTRICTED:
        return f"{state.access}, until domain ownership is verified"
    if state.domain_lost and state.state.accepts_commands:
        return f"{state.access}, until the account is renamed: its domain was verified elsewhere first"
    return state.access


def _upcoming_rows(state: Subscription) -> list[tuple[str, str]]:
    rows = []
    if contract := state.contract:
        rows.append(("Contract", f"{contract.term.lower()}, {contract.first_day} to {contract.end_day}"))
        rows.append(("Renewal", format_message(renewal_label(state.renewal))))
    elif state.trial_ends_at and state.grace_ends_at:
        rows.append(("Trial ends", _moment(state.trial_ends_at)))
        rows.append(("Grace ends", _moment(state.grace_ends_at)))
    rows.append(("Reserved", format_message(reservation_label(state.reservation))))
    if state.pending_rename_domain:
        rows.append(("New name", "a domain, once its ownership is verified"))
    if deadline := next_deadline(state):
        rows.append(("Next", f"{format_message(deadline_label(deadline))}, {_moment(deadline.at)}"))
    return rows


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} KST"


def _due_so_far(state: Subscription, now: datetime) -> int:
    """Return the unposted service fees of the days of this month before today (R21)."""
    today = day_of(now)
    if state.billed_until is None:
        return 0
    since = max(state.billed_until, first_of_month(today))
    lines = service_fees(state.subscription_id, state.rates, since, today, now) if since < today else ()
    return sum(line.amount for line in lines)
