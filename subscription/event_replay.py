"""State rebuilt from events and charges calculated again, to verify what is stored."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from subscription.apply import apply, apply_all
from subscription.catalogue import PriceBook
from subscription.domain_verification import PendingDomain
from subscription.due_events import cancellation_event, due_events, next_due_event
from subscription.events import Canceled, Erased, Event, ServiceFeesPosted
from subscription.ledger import LedgerLine
from subscription.model import Frozen
from subscription.state import State, Subscription

_EVENT_FIELDS = (
    "sequence",
    "state",
    "domain_lost",
    "renamed_at",
    "started_at",
    "trial_ends_at",
    "grace_ends_at",
    "contract",
    "rates",
    "billed_until",
    "renewal",
    "reservation",
    "ended_at",
    "last_at",
)
"""The fields of a state that follow from its events alone."""

_PERSONAL = ("account", "admin_id", "pending_domain", "pending_rename_domain")
"""The fields of a state that may identify a person; the events have their values only until erasure."""


class ChargeMismatch(Frozen):
    """An event whose ledger lines differ from those that the rules calculate."""

    event: Event
    expected: tuple[LedgerLine, ...]


class Replay(NamedTuple):
    """The state that follows from the events, and the events with other charges than the rules calculate."""

    state: Subscription
    mismatches: Sequence[ChargeMismatch]


def replay(base: Subscription, events: Sequence[Event], book: PriceBook) -> Replay:
    """Return the state that follows from the events, and the mismatches of their ledger lines (R21, R30)."""
    rebuilt, mismatches = _initial_state(base), []
    for event in events:
        expected = _expected_lines(rebuilt, event, book)
        if event.lines != expected:
            mismatches.append(ChargeMismatch(event=event, expected=expected))
        rebuilt = apply(rebuilt, event)
    return Replay(_with_fields_of(base, rebuilt), mismatches)


def rebuild_state(base: Subscription, events: Sequence[Event]) -> Subscription:
    """Return the state that follows from the events; fields that are not in events come from `base`."""
    return _with_fields_of(base, apply_all(_initial_state(base), events))


def _with_fields_of(base: Subscription, rebuilt: Subscription) -> Subscription:
    changes = {field: getattr(rebuilt, field) for field in _EVENT_FIELDS}
    if rebuilt.contract:
        changes |= {"plan": rebuilt.plan, "members": rebuilt.members}
    if rebuilt.state is State.ERASED:
        changes |= {field: getattr(rebuilt, field) for field in _PERSONAL}
    return base.model_copy(update=changes)


def without_transient_fields(state: Subscription) -> Subscription:
    """Return the state with the domain check schedule reset: it changes without an event."""
    if not state.pending_domains:
        return state
    return state.model_copy(
        update={
            "pending_domain": _before_first_check(state.pending_domain),
            "pending_rename_domain": _before_first_check(state.pending_rename_domain),
        }
    )


def cancellation_events(state: Subscription, ended_at: datetime, book: PriceBook) -> tuple[Event, ...]:
    """Return the events up to an end that is known only by its time, as if it was requested at `ended_at`."""
    events = due_events(state, ended_at, book)
    for event in events:
        state = apply(state, event)
    if state.state.accepts_commands:
        events += [cancellation_event(state, ended_at, "ASKED"), Erased(at=ended_at)]
    return tuple(events)


def _initial_state(base: Subscription) -> Subscription:
    return Subscription(
        subscription_id=base.subscription_id,
        customer_id=base.customer_id,
        region=base.region,
        platform=base.platform,
        plan=base.plan,
        members=base.members,
    )


def _expected_lines(before: Subscription, event: Event, book: PriceBook) -> tuple[LedgerLine, ...]:
    match event:
        case Canceled(because="ASKED"):
            return cancellation_event(before, event.at, "ASKED").lines
        case Canceled() | ServiceFeesPosted():
            due = next_due_event(before, event.at, book)
            return due.lines if due else ()
        case _:
            return ()


def _before_first_check(pending_domain: PendingDomain | None) -> PendingDomain | None:
    return pending_domain and pending_domain.model_copy(update={"next_check_at": pending_domain.since})
