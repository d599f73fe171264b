"""Markdown summary of a subscription for the Temporal Web UI. Contains no personal data."""

from datetime import datetime

from subscription.business_calendar import day_of, first_of_month
from subscription.deadlines import next_deadline
from subscription.event_text import format_deadline, format_krw, format_members, format_renewal_option
from subscription.ledger import service_fees
from subscription.state import Access, State, Subscription


def summary_card(state: Subscription, now: datetime) -> str:
    """Return the summary for operators; `now` is the time of the subscription's clock."""
    rows = [
        ("Customer", state.customer_id),
        ("State", state.state.value),
        ("Access", _format_access(state)),
        ("Plan", f"{state.plan}, {format_members(state.members)}"),
    ]
    if state.state.accepts_commands:
        rows += _upcoming_rows(state)
    if state.state is State.ACTIVE:
        rows.append((f"Due so far in {day_of(now):%B %Y}", format_krw(_due_so_far(state, now))))
    return "\n".join(f"- **{name}**: {value}" for name, value in rows)


def _format_access(state: Subscription) -> str:
    if state.access is Access.RESTRICTED:
        return f"{state.access}, until the ownership of the domain is verified"
    return state.access


def _upcoming_rows(state: Subscription) -> list[tuple[str, str]]:
    rows = []
    if contract := state.contract:
        rows.append(("Contract", f"{contract.term.lower()}, {contract.first_day} to {contract.end_day}"))
        rows.append(
            ("Renewal", format_renewal_option(state.renewal) if state.renewal else "monthly, as none is set")
        )
    elif state.trial_ends_at and state.grace_ends_at:
        rows.append(("Trial ends", _moment(state.trial_ends_at)))
        rows.append(("Grace ends", _moment(state.grace_ends_at)))
    rows.append(("Reserved", _format_reservation(state)))
    if state.pending_rename_domain:
        rows.append(("New name", "a domain is reserved until its ownership is verified"))
    if deadline := next_deadline(state):
        rows.append(("Next", f"{format_deadline(deadline)}, {_moment(deadline.at)}"))
    return rows


def _format_reservation(state: Subscription) -> str:
    reservation = state.reservation
    if reservation is None:
        return "nothing"
    return f"{reservation.kind.lower().replace('_', ' ')} on {reservation.date}"


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
