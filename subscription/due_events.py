"""The events of deadlines that are due, dated when they were due (R14-R18, R21, R23, R30)."""

from datetime import date, datetime, timedelta
from typing import Literal

from subscription.apply import apply
from subscription.business_calendar import add_months, day_of
from subscription.catalogue import PriceBook
from subscription.contract import Contract, ContractTerm, RenewalTerms, rate_of
from subscription.deadlines import Deadline, DeadlineKind, next_deadline
from subscription.events import (
    Canceled,
    ContractRenewed,
    Erased,
    Event,
    ServiceFeesPosted,
    SwitchedToPaid,
    TrialEnded,
)
from subscription.ledger import LedgerLine, service_fees, termination_charges
from subscription.state import ReservedCancellation, ReservedSwitch, Subscription

_HORIZON = timedelta(days=20 * 366)
"""The longest possible time without an event: ten years of trial, then ten years of grace period."""


def is_within_horizon(state: Subscription, moment: datetime) -> bool:
    """Return whether the deadlines until `moment` may be calculated in one call.

    The limit bounds the cost: a moment in some thousand years would have too many deadlines.
    """
    return state.last_at is None or moment - state.last_at <= _HORIZON


def next_due_event(state: Subscription, now: datetime, book: PriceBook) -> Event | None:
    """Return the event of the earliest deadline at or before `now`, dated when it was due (R23)."""
    deadline = next_deadline(state)
    if deadline is None or deadline.at > now:
        return None
    return deadline_event(state, deadline, book)


def due_events(state: Subscription, now: datetime, book: PriceBook) -> list[Event]:
    """Return the events of all deadlines up to `now`, in due order, each dated when it was due (R23)."""
    events: list[Event] = []
    while event := next_due_event(state, now, book):
        events.append(event)
        state = apply(state, event)
    return events


def advance(state: Subscription, now: datetime, book: PriceBook) -> Subscription:
    """Return the state after the events of all deadlines up to `now`."""
    for event in due_events(state, now, book):
        state = apply(state, event)
    return state


def deadline_event(state: Subscription, deadline: Deadline, book: PriceBook) -> Event:
    """Return the event that the next deadline produces, dated when it is due (R23)."""
    at = deadline.at
    match deadline.what:
        case DeadlineKind.SERVICE_FEES:
            return _service_fees_posted(state, at)
        case DeadlineKind.CANCELLATION:
            return cancellation_event(state, at, "RESERVED")
        case DeadlineKind.SWITCH_TO_PAID:
            assert isinstance(state.reservation, ReservedSwitch)
            return switch_event(state, state.reservation, at, book)
        case DeadlineKind.TRIAL_END:
            return _trial_ended(state, at)
        case DeadlineKind.GRACE_END:
            return cancellation_event(state, at, "GRACE_ENDED")
        case DeadlineKind.CONTRACT_END:
            return _contract_renewed(state, at, book)
        case DeadlineKind.ERASURE:
            return Erased(at=at)


def _service_fees_posted(state: Subscription, at: datetime) -> ServiceFeesPosted:
    today = day_of(at)
    assert state.billed_until is not None
    return ServiceFeesPosted(
        at=at,
        billed_until=today,
        posted=service_fees(state.subscription_id, state.rates, state.billed_until, today, at),
    )


def _trial_ended(state: Subscription, at: datetime) -> TrialEnded | Canceled:
    assert state.grace_ends_at is not None
    if state.grace_ends_at == at:
        return cancellation_event(state, at, "TRIAL_ENDED")
    return TrialEnded(at=at, grace_ends_at=state.grace_ends_at)


def cancellation_event(
    state: Subscription,
    at: datetime,
    because: Literal["ASKED", "RESERVED", "TRIAL_ENDED", "GRACE_ENDED"],
) -> Canceled:
    """Return the end of a subscription: the last service fees and early-termination charges (R21, R30)."""
    today = day_of(at)
    cleared = state.reservation if because == "ASKED" else None
    if state.billed_until is None:
        return Canceled(at=at, because=because, billed_until=None, posted=(), cleared=cleared)
    fees = service_fees(state.subscription_id, state.rates, state.billed_until, today, at)
    return Canceled(
        at=at,
        because=because,
        billed_until=today,
        posted=fees + _early_termination_lines(state, today, at),
        cleared=cleared,
    )


def _early_termination_lines(state: Subscription, today: date, at: datetime) -> tuple[LedgerLine, ...]:
    contract = state.contract
    assert contract is not None
    free_day = contract.begun_by_renewal and today == contract.first_day
    if contract.term is not ContractTerm.ANNUAL or today >= contract.end_day or free_day:
        return ()
    return termination_charges(state.subscription_id, contract, state.rates, today, at)


def switch_event(
    state: Subscription, switch: ReservedSwitch, at: datetime, book: PriceBook
) -> SwitchedToPaid:
    """Return the start of the first contract. Any other reservation is cleared (R17, R19, R35)."""
    today = day_of(at)
    prices = book.announced_prices(switch.plan, today, switch.reserved_on)
    return SwitchedToPaid(
        at=at,
        contract=first_contract(switch.term, today, book),
        rate=rate_of(switch.plan, prices, switch.members, switch.term, today),
        cleared=None if state.reservation == switch else state.reservation,
    )


def first_contract(term: ContractTerm, first_day: date, book: PriceBook) -> Contract:
    """Return the first period of a new chain (R18), with the fee percentage of its first day (R19)."""
    return Contract(
        term=term,
        first_day=first_day,
        end_day=add_months(first_day, term.months),
        chain_first_day=first_day,
        fee_percent=_fee_percent(first_day, book),
    )


def _contract_renewed(state: Subscription, at: datetime, book: PriceBook) -> ContractRenewed:
    today = day_of(at)
    terms = _next_contract_terms(state)
    plan, members = terms.plan or state.plan, terms.members or state.members
    assert state.contract is not None
    return ContractRenewed(
        at=at,
        contract=_next_contract(state.contract, terms.term, book),
        rate=rate_of(plan, book.renewal_prices(plan, today), members, terms.term, today),
    )


def _next_contract_terms(state: Subscription) -> RenewalTerms:
    """Return the renewal option; MONTHLY if none is set, or if a cancellation is reserved (R24)."""
    if state.renewal is None or isinstance(state.reservation, ReservedCancellation):
        return RenewalTerms(term=ContractTerm.MONTHLY)
    return state.renewal


def _next_contract(ended: Contract, term: ContractTerm, book: PriceBook) -> Contract:
    """Return the period after `ended`. With the same term, its end counts from the chain's start (R18)."""
    first_day = ended.end_day
    if term is not ended.term:
        return first_contract(term, first_day, book).model_copy(update={"begun_by_renewal": True})
    periods = ended.periods_before + 1
    return Contract(
        term=term,
        first_day=first_day,
        end_day=add_months(ended.chain_first_day, term.months * (periods + 1)),
        chain_first_day=ended.chain_first_day,
        periods_before=periods,
        fee_percent=_fee_percent(first_day, book),
        begun_by_renewal=True,
    )


def _fee_percent(day: date, book: PriceBook) -> int:
    catalogue = book.in_force(day)
    assert catalogue is not None, "a contract begins only while a catalogue is in force"
    return catalogue.cancellation.fee_percent
