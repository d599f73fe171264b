"""Forecasts and quotes, computed by running the rules forward on a copy of the state (R28)."""

from collections.abc import Iterator
from datetime import date, datetime
from enum import StrEnum
from itertools import islice
from typing import Literal

from subscription.apply import apply, apply_all
from subscription.business_calendar import Day, day_of, start_of
from subscription.catalogue import PriceBook, required_terms
from subscription.commands import Cancel, ChangeRenewalOption, SwitchToPaid, Upgrade
from subscription.contract import Contract, ContractTerm
from subscription.deadlines import next_deadline
from subscription.decide import NO_FACTS, ExternalFacts, decide
from subscription.due_events import advance, deadline_event, is_within_horizon
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
    """The cost of a contract from the day of a change to the end of its period (R16, R24, R25).

    The day is that of a switch or an upgrade; of a renewal option, the first day of the next contract.
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
    return _quote_change(state, switch, now, book, facts)


def quote_upgrade(
    state: Subscription, upgrade: Upgrade, now: datetime, book: PriceBook
) -> ChangeQuote | Refusal:
    """Return the cost of an upgrade today. A quote needs no agreement to the terms of service."""
    return _quote_change(state, with_required_terms(upgrade, now, book), now, book, NO_FACTS)


def quote_renewal(
    state: Subscription,
    change: ChangeRenewalOption,
    now: datetime,
    book: PriceBook,
    facts: ExternalFacts = NO_FACTS,
) -> ChangeQuote | Refusal | None:
    """Return the cost of the next contract under a renewal option; refused for the command's reasons.

    None if a cancellation is reserved: the option then has no effect (R24).
    """
    if not is_within_horizon(state, now):
        return TOO_FAR_AHEAD
    state = advance(state, now, book)
    decision = decide(state, change, now, book, facts)
    if isinstance(decision, Refusal):
        return decision
    if isinstance(state.reservation, ReservedCancellation):
        return None
    saved = apply_all(state, decision.events)
    day, renewed = next(
        (day_of(event.at), after)
        for event, after in future_events(saved, book)
        if isinstance(event, ContractRenewed)
    )
    return _quote_contract(state, renewed, day, book)


def with_required_terms(upgrade: Upgrade, now: datetime, book: PriceBook) -> Upgrade:
    """Return the upgrade with agreements to the required terms of today, for a trial of the command."""
    catalogue = book.in_force(day_of(now))
    terms = required_terms(catalogue) if catalogue else ()
    agreed = tuple(TermAgreement(id=term.id, version=term.version) for term in terms)
    return upgrade.model_copy(update={"agreed_terms": agreed})


def state_after(
    state: Subscription,
    change: SwitchToPaid | Upgrade,
    now: datetime,
    book: PriceBook,
    facts: ExternalFacts = NO_FACTS,
) -> Subscription | Refusal:
    """Return the state on the day of the change, when its contract has begun."""
    decision = decide(state, change, now, book, facts)
    if isinstance(decision, Refusal):
        return decision
    day = day_of_change(change, now)
    return advance(apply_all(state, decision.events), max(now, start_of(day)), book)


def day_of_change(change: SwitchToPaid | Upgrade, now: datetime) -> date:
    """Return the day from which the change counts. An upgrade takes effect at once (R25)."""
    return change.date if isinstance(change, SwitchToPaid) else day_of(now)


def canceled_at(state: Subscription, end_day: date, billed_from: date) -> Subscription:
    """Return the state with a cancellation on `end_day`, billed from `billed_from` on.

    The unbilled days at the rate before a change may begin earlier; they are not a cost of the change.
    """
    assert state.billed_until is not None
    return state.model_copy(
        update={
            "reservation": ReservedCancellation(date=end_day),
            "billed_until": max(state.billed_until, billed_from),
        }
    )


def _quote_change(
    state: Subscription,
    change: SwitchToPaid | Upgrade,
    now: datetime,
    book: PriceBook,
    facts: ExternalFacts,
) -> ChangeQuote | Refusal:
    if not is_within_horizon(state, now):
        return TOO_FAR_AHEAD
    state = advance(state, now, book)
    changed = state_after(state, change, now, book, facts)
    if isinstance(changed, Refusal):
        return changed
    return _quote_contract(state, changed, day_of_change(change, now), book)


def _quote_contract(before: Subscription, changed: Subscription, day: date, book: PriceBook) -> ChangeQuote:
    contract = changed.contract
    assert contract is not None
    ending = canceled_at(changed, contract.end_day, day)
    lines = tuple(line for event, _ in future_events(ending, book) for line in event.lines)
    return ChangeQuote(
        date=day,
        plan=changed.plan,
        members=changed.members,
        contract=contract,
        monthly=changed.rate.monthly,
        monthly_now=before.rate.monthly if before.contract else 0,
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
