"""Confirmations: the notice of each change, queued in the transaction that records its event (R34).

A month's service fees have no confirmation. A cancellation has none either: the erasure that follows at the
same instant also deletes the addresses. The answer to a cancellation for today, and the notices before any
other cancellation, contain the same information.
"""

from collections.abc import Iterator, Sequence
from typing import assert_never

from subscription.apply import apply
from subscription.business_calendar import Instant, day_of
from subscription.catalogue import PriceBook, rename_lock
from subscription.contract import Rate
from subscription.events import (
    AccountRenamed,
    Canceled,
    CancellationReserved,
    CommandRefused,
    ContractRenewed,
    DomainConfirmed,
    DomainLost,
    Erased,
    Event,
    RenameHeld,
    RenameWithdrawn,
    RenewalOptionChanged,
    ReservationWithdrawn,
    ServiceFeesPosted,
    SwitchedToPaid,
    SwitchReserved,
    TrialEnded,
    TrialStarted,
    Upgraded,
)
from subscription.forecast import future_events
from subscription.ledger import LedgerLine
from subscription.notice_outbox import NoticeKind
from subscription.notices import BaseNotice, continues_unchanged
from subscription.state import Subscription


class Confirmation(BaseNotice):
    """The confirmation of an event, with all contents of its email.

    `sequence` is the number of the event, and `state` the subscription after it. `happens` is the next event
    that begins or ends a contract; after the reservation of a cancellation, the cancellation. `previous_rate`
    is the rate before the event. `rename_free_at` is the time from which the account may be renamed again
    (R10). `locked_members` are the members in use that have no seat under a contract that has begun (R36).
    """

    sequence: int
    event: Event
    previous_rate: Rate | None = None
    rename_free_at: Instant | None = None
    locked_members: int = 0


def confirmation_kind(event: Event, before: Subscription, locked_members: int = 0) -> NoticeKind | None:
    """Return the kind of an event's confirmation; None if it has none. `before` is the state before it."""
    match event:
        case (
            TrialStarted()
            | TrialEnded()
            | SwitchReserved()
            | SwitchedToPaid()
            | RenewalOptionChanged()
            | Upgraded()
            | CancellationReserved()
            | ReservationWithdrawn()
            | DomainConfirmed()
            | DomainLost()
            | AccountRenamed()
            | RenameHeld()
            | RenameWithdrawn()
        ):
            return NoticeKind(event.event)
        case ContractRenewed():
            is_unchanged = continues_unchanged(before, event) and not locked_members
            return None if is_unchanged else NoticeKind(event.event)
        case ServiceFeesPosted() | Canceled() | Erased() | CommandRefused():
            return None
        case _:
            assert_never(event)


def begins_contract(event: Event) -> bool:
    """Return whether the confirmation of the event states the members without a seat (R36)."""
    return isinstance(event, SwitchedToPaid | ContractRenewed)


def confirmations(
    before: Subscription, events: Sequence[Event], book: PriceBook, members_in_use: int = 0
) -> Iterator[Confirmation]:
    """Yield the confirmations of events that follow the state `before`."""
    for event in events:
        after = apply(before, event)
        locked_members = max(0, members_in_use - after.members) if begins_contract(event) else 0
        if kind := confirmation_kind(event, before, locked_members):
            confirmation = _confirmation(kind, event, before, after, book)
            yield confirmation.model_copy(update={"locked_members": locked_members})
        before = after


def _confirmation(
    kind: NoticeKind, event: Event, before: Subscription, after: Subscription, book: PriceBook
) -> Confirmation:
    happens, lines = _next_change(after, book, is_cancellation=isinstance(event, CancellationReserved))
    catalogue = book.in_force(day_of(event.at))
    pending_domain = after.pending_domain if isinstance(event, TrialStarted) else None
    return Confirmation(
        kind=kind,
        event_date=day_of(event.at),
        sequence=after.sequence,
        state=after,
        event=event,
        happens=happens,
        lines=lines,
        pending_domain=event.pending_domain if isinstance(event, RenameHeld) else pending_domain,
        previous_rate=before.rate if before.contract else None,
        rename_free_at=after.renamed_at + rename_lock(catalogue) if catalogue and after.renamed_at else None,
    )


def _next_change(
    state: Subscription, book: PriceBook, *, is_cancellation: bool
) -> tuple[Event | None, tuple[LedgerLine, ...]]:
    """Return the next event that begins or ends a contract, and the charges at its time."""
    changes = Canceled if is_cancellation else (SwitchedToPaid, ContractRenewed, Canceled)
    lines: tuple[LedgerLine, ...] = ()
    for event, _ in future_events(state, book):
        lines = tuple(line for line in (*lines, *event.lines) if line.effective_at == event.at)
        if isinstance(event, changes):
            return event, lines
    return None, ()
