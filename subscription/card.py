"""A subscription at a glance, as a short markdown card for operators. It names nobody."""

from datetime import datetime

from subscription.calendar import day_of, first_of_month
from subscription.deadlines import next_deadline
from subscription.ledger import service_fees
from subscription.state import State, Subscription
from subscription.wording import members_words, option_words, won


def card(state: Subscription, now: datetime) -> str:
    """What an operator wants to see first; `now` is the subscription's own clock."""
    rows = [
        ("State", state.state),
        ("Access", state.access),
        ("Plan", f"{state.plan}, {members_words(state.members)}"),
    ]
    if state.state.commandable:
        rows += _what_comes(state)
    if state.state is State.ACTIVE:
        rows.append(("Due so far this month", won(_due_so_far(state, now))))
    return "\n".join(f"- **{name}**: {value}" for name, value in rows)


def _what_comes(state: Subscription) -> list[tuple[str, str]]:
    rows = []
    if contract := state.contract:
        rows.append(("Contract", f"{contract.term.lower()}, {contract.first_day} to {contract.end_day}"))
        rows.append(("Renewal", option_words(state.renewal) if state.renewal else "monthly, as none is set"))
    elif state.trial_ends_at and state.grace_ends_at:
        rows.append(("Trial ends", f"{state.trial_ends_at:%Y-%m-%d %H:%M} KST"))
        rows.append(("Grace ends", f"{state.grace_ends_at:%Y-%m-%d %H:%M} KST"))
    if reserved := state.reservation:
        rows.append(("Reserved", f"{reserved.kind.lower().replace('_', ' ')} on {reserved.date}"))
    if deadline := next_deadline(state):
        rows.append(("Next", f"{deadline.what.lower().replace('_', ' ')}, {deadline.at:%Y-%m-%d %H:%M} KST"))
    return rows


def _due_so_far(state: Subscription, now: datetime) -> int:
    """The service fees of the days of this month before today (R21)."""
    today = day_of(now)
    if state.billed_up_to is None:
        return 0
    since = max(state.billed_up_to, first_of_month(today))
    lines = service_fees(state.subscription_id, state.rates, since, today, now) if since < today else ()
    return sum(line.amount for line in lines)
