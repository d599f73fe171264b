"""State rebuilt from events and charges calculated again, to verify what is stored."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from subscription.apply import apply
from subscription.catalogue import PriceBook
from subscription.deadlines import cancellation_event, due_events, next_due_event
from subscription.domain_verification import PendingDomain
from subscription.events import Canceled, Erased, Event, ServiceFeesPosted
from subscription.ledger import LedgerLine
from subscription.model import Frozen
from subscription.state import State, Subscription

_TOLD_BY_EVENTS = (
    "sequence",
    "state",
    "renamed_at",
    "started_at",
    "trial_ends_at",
    "grace_ends_at",
    "contract",
    "rates",
    "billed_up_to",
    "renewal",
    "reservation",
    "ended_at",
    "last_at",
)
"""The fields of a state that its events alone decide."""

_PERSONAL = ("account", "admin_id", "claim", "rename_claim")
"""The fields of a state that name a person; its events tell them only until erasure."""


class ChargeMismatch(Frozen):
    """An event that charges something else than the rules reckon from what happened before it."""

    event: Event
    reckoned: tuple[LedgerLine, ...]


def rebuild_state(base: Subscription, events: Sequence[Event]) -> Subscription:
    """The state by its events, with what they do not tell taken from `base`."""
    told = _initial_state(base)
    for event in events:
        told = apply(told, event)
    changes = {field: getattr(told, field) for field in _TOLD_BY_EVENTS}
    if told.contract:
        changes |= {"plan": told.plan, "members": told.members}
    if told.state is State.ERASED:
        changes |= {field: getattr(told, field) for field in _PERSONAL}
    return base.model_copy(update=changes)


def without_transient_fields(state: Subscription) -> Subscription:
    """The state without what changes between events: when to look for a proof."""
    return state.model_copy(
        update={
            "claim": _before_any_look(state.claim),
            "rename_claim": _before_any_look(state.rename_claim),
        }
    )


def charge_mismatches(
    base: Subscription, events: Sequence[Event], book: PriceBook
) -> Iterator[ChargeMismatch]:
    """Every event whose ledger lines are not those that the rules reckon (R21, R30)."""
    state = _initial_state(base)
    for event in events:
        reckoned = _reckoned(state, event, book)
        if event.lines != reckoned:
            yield ChargeMismatch(event=event, reckoned=reckoned)
        state = apply(state, event)


def cancellation_events(state: Subscription, ended_at: datetime, book: PriceBook) -> tuple[Event, ...]:
    """The events from here to an end of which only the moment is known: by the rules, as if asked then."""
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


def _reckoned(before: Subscription, event: Event, book: PriceBook) -> tuple[LedgerLine, ...]:
    match event:
        case Canceled(because="ASKED"):
            return cancellation_event(before, event.at, "ASKED").lines
        case Canceled() | ServiceFeesPosted():
            due = next_due_event(before, event.at, book)
            return due.lines if due else ()
        case _:
            return ()


def _before_any_look(claim: PendingDomain | None) -> PendingDomain | None:
    return claim and claim.model_copy(update={"next_look_at": claim.since})
