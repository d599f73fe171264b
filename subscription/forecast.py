"""Forecasts and quotes, computed by running the rules forward on a copy of the state (R28)."""

from collections.abc import Iterator
from datetime import date, datetime
from enum import StrEnum
from itertools import islice
from typing import Literal

from subscription.apply import apply, apply_all
from subscription.business_calendar import Day, day_of, start_of
from subscription.catalogue import PriceBook, required_terms
from subscription.commands import Cancel, SwitchToPaid, Upgrade
from subscription.contract import Contract, ContractTerm
from subscription.deadlines import advance, deadline_event, is_within_horizon, next_deadline
from subscription.decide import NO_FACTS, ExternalFacts, decide
from subscription.events import Canceled, ContractRenewed, Event, SwitchedToPaid
from subscription.ledger import LedgerLine, LineKind
from subscription.model import Frozen
from subscription.refusals import Refusal, RefusalCode
from subscription.request import TermAgreement
from subscription.state import ReservedCancellation, Subscription
from subscription.timeline import TimelineEntry, timeline_entry

TOO_FAR_AHEAD = Refusal.of(RefusalCode.INVALID_INSTANT, "at", reason="TOO_FAR_AHEAD")


class Quote(Frozen):
    """The charges if a cancellation on `date` is reserved now and no other command follows (R28).

    `penalty` is the total without the service fees. If there is a penalty, `free_on` is the first day on
    which a cancellation has none.
    """

    kind: Literal["CANCELLATION"] = "CANCELLATION"
    date: Day
    ledger: tuple[LedgerLine, ...]
    total: int
    penalty: int
    free_on: Day | None = None


class QuoteKind(StrEnum):
    """The commands for which there are quotes."""

    CANCELLATION = "cancellation"
    SWITCH = "switch"
    UPGRADE = "upgrade"


class ChangeQuote(Frozen):
    """The cost of a contract from the day of a switch or an upgrade to the end of its period (R16, R25).

    `monthly` is the price of a whole month at the new rate, `monthly_now` at today's rate (0 in trial or
    grace period). `ledger` has the lines for these days if the contract is canceled, free of charge, at its
    end.
    """

    kind: Literal["CHANGE"] = "CHANGE"
    date: Day
    plan: str
    members: int
    contract: Contract
    monthly: int
    monthly_now: int
    ledger: tuple[LedgerLine, ...]
    total: int


class UpcomingEvent(Frozen):
    """A future event if no command is sent, with the ledger lines that it will post."""

    entry: TimelineEntry
    ledger: tuple[LedgerLine, ...]


def quote_cancellation(state: Subscription, day: date, now: datetime, book: PriceBook) -> Quote | Refusal:
    """Return the cost of a cancellation on `day`; refused for the same reasons as the command itself."""
    if not is_within_horizon(state, now):
        return TOO_FAR_AHEAD
    state = advance(state, now, book)
    decision = decide(state, Cancel(date=day, confirmation=state.admin_account or ""), now, book)
    if isinstance(decision, Refusal):
        return decision
    reserved = apply_all(state, decision.events)
    coming = (event for event, _ in future_events(reserved, book))
    lines = tuple(line for event in (*decision.events, *coming) for line in event.lines)
    penalty = sum(line.amount for line in lines if line.kind is not LineKind.SERVICE_FEE)
    return Quote(
        date=day,
        ledger=lines,
        total=sum(line.amount for line in lines),
        penalty=penalty,
        free_on=_penalty_free_from(state) if penalty else None,
    )


def quote_switch(
    state: Subscription,
    switch: SwitchToPaid,
    now: datetime,
    book: PriceBook,
    facts: ExternalFacts = NO_FACTS,
) -> ChangeQuote | Refusal:
    """Return the cost of a switch to paid; refused for the same reasons as the command itself."""
    return _quote_change(state, switch, switch.date, now, book, facts)


def quote_upgrade(
    state: Subscription, upgrade: Upgrade, now: datetime, book: PriceBook
) -> ChangeQuote | Refusal:
    """Return the cost of an upgrade today. A quote needs no agreement to the terms of service."""
    today = day_of(now)
    catalogue = book.in_force(today)
    terms = required_terms(catalogue) if catalogue else ()
    agreed = tuple(TermAgreement(id=term.id, version=term.version) for term in terms)
    agreeing = upgrade.model_copy(update={"agreed_terms": agreed})
    return _quote_change(state, agreeing, today, now, book, NO_FACTS)


def _quote_change(
    state: Subscription,
    change: SwitchToPaid | Upgrade,
    day: date,
    now: datetime,
    book: PriceBook,
    facts: ExternalFacts,
) -> ChangeQuote | Refusal:
    if not is_within_horizon(state, now):
        return TOO_FAR_AHEAD
    state = advance(state, now, book)
    decision = decide(state, change, now, book, facts)
    if isinstance(decision, Refusal):
        return decision
    changed = advance(apply_all(state, decision.events), max(now, start_of(day)), book)
    contract = changed.contract
    assert contract is not None
    # Bill only from the day of the change on: the unbilled days at the current rate may begin before it.
    assert changed.billed_until is not None
    canceled_at_end = changed.model_copy(
        update={
            "reservation": ReservedCancellation(date=contract.end_day),
            "billed_until": max(changed.billed_until, day),
        }
    )
    lines = tuple(line for event, _ in future_events(canceled_at_end, book) for line in event.lines)
    return ChangeQuote(
        date=day,
        plan=changed.plan,
        members=changed.members,
        contract=contract,
        monthly=changed.rate.monthly,
        monthly_now=state.rate.monthly if state.contract else 0,
        ledger=lines,
        total=sum(line.amount for line in lines),
    )


def upcoming(
    state: Subscription, now: datetime, book: PriceBook, limit: int = 12
) -> tuple[UpcomingEvent, ...]:
    """Return the next events if no command is sent, in order."""
    return tuple(
        UpcomingEvent(entry=timeline_entry(event, after, to_come=True), ledger=event.lines)
        for event, after in islice(future_events(advance(state, now, book), book), limit)
    )


def future_events(state: Subscription, book: PriceBook) -> Iterator[tuple[Event, Subscription]]:
    """Yield the future events if no command is sent, each with the state after it. May be infinite."""
    while deadline := next_deadline(state):
        event = deadline_event(state, deadline, book)
        state = apply(state, event)
        yield event, state


def automatic_cancellation(state: Subscription, book: PriceBook) -> Canceled | None:
    """Return the cancellation that happens if no command is sent; None if the subscription continues (R34).

    It is the end of the trial or of the grace period (R15), or a reserved cancellation (R27).
    """
    reserved = isinstance(state.reservation, ReservedCancellation)
    for event, _ in future_events(state, book):
        match event:
            case Canceled():
                return event
            case SwitchedToPaid():
                return None
            case ContractRenewed() if not reserved:
                return None
    return None


def _penalty_free_from(state: Subscription) -> date | None:
    contract = state.contract
    return contract.end_day if contract and contract.term is ContractTerm.ANNUAL else None
