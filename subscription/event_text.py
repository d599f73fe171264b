"""English text for events, deadlines and amounts. Contains no personal data."""

from collections.abc import Sequence
from datetime import timedelta

from subscription.business_calendar import day_of
from subscription.contract import RenewalTerms
from subscription.deadlines import Deadline, DeadlineKind
from subscription.event_messages import SENTENCES, format_statement, statements_of
from subscription.events import CommandRefused, Event, SwitchedToPaid, SwitchReserved
from subscription.messages import Plain
from subscription.request import Request
from subscription.state import Subscription


def accepted_message(state: Subscription, events: Sequence[Event]) -> str:
    """Return the message about the events of an accepted command, and about restricted use (R11)."""
    if not events:
        return SENTENCES["NO_PROOF_YET"]
    messages = [event_message(event) for event in events]
    if state.pending_domain and any(isinstance(event, SwitchedToPaid | SwitchReserved) for event in events):
        messages.append(SENTENCES["RESTRICTED"])
    return " ".join(messages)


def format_krw(amount: int) -> str:
    return Plain().won(amount)


def format_members(members: int) -> str:
    return Plain().members(members)


_DEADLINE_NAMES = {
    DeadlineKind.CANCELLATION: "reserved cancellation",
    DeadlineKind.SWITCH_TO_PAID: "reserved switch to paid",
    DeadlineKind.TRIAL_END: "trial ends",
    DeadlineKind.GRACE_END: "grace period ends",
    DeadlineKind.CONTRACT_END: "contract period ends",
    DeadlineKind.ERASURE: "erasure",
}


def format_deadline(deadline: Deadline) -> str:
    """Return the name of a deadline in timer summaries and summary cards."""
    if deadline.what is DeadlineKind.SERVICE_FEES:
        return f"service fees for {day_of(deadline.at) - timedelta(days=1):%B %Y}"
    return _DEADLINE_NAMES[deadline.what]


def workflow_summary(of: Request | Subscription) -> str:
    """Return the workflow's summary.

    Temporal cannot change it later, so it contains only the billing account and no personal data (R31).
    """
    return f"{of.customer_id}: {of.plan}, {format_members(of.members)}, {of.platform}"


def event_message(event: Event, *, to_come: bool = False) -> str:
    """Return the message of an event; `to_come` selects the wording for a future event."""
    sentences = [format_statement(statement, Plain()) for statement in statements_of(event, to_come=to_come)]
    if isinstance(event, CommandRefused):
        sentences.append(event.message)
    return " ".join(sentences)


def format_renewal_option(option: RenewalTerms) -> str:
    """Return the terms of the next contract as text (R24)."""
    plan = f"on {option.plan}" if option.plan else "on the plan that it has then"
    members = (
        f"for {format_members(option.members)}" if option.members else "for the members that it has then"
    )
    return f"{option.term.lower()} {plan} {members}"
