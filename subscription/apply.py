"""Application of events to the state. Makes no decisions (R31 for erasure)."""

from collections.abc import Iterable
from typing import Any

from subscription.business_calendar import day_of
from subscription.contract import Contract, Rate
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
from subscription.ledger import append_rate
from subscription.state import ReservedCancellation, State, Subscription


def apply(state: Subscription, event: Event) -> Subscription:
    """Return the state after `event`. `sequence` counts the events; `last_at` is their latest time."""
    last_at = event.at if state.last_at is None else max(state.last_at, event.at)
    return state.model_copy(
        update={"sequence": state.sequence + 1, "last_at": last_at, **_changes(state, event)}
    )


def apply_all(state: Subscription, events: Iterable[Event]) -> Subscription:
    for event in events:
        state = apply(state, event)
    return state


def _changes(state: Subscription, event: Event) -> dict[str, Any]:
    match event:
        case ServiceFeesPosted():  # first, because most events are of this kind
            return {"billed_until": event.billed_until}
        case TrialStarted():
            return {
                "state": State.TRIAL,
                "started_at": event.at,
                "trial_ends_at": event.trial_ends_at,
                "grace_ends_at": event.grace_ends_at,
                "pending_domain": event.pending_domain,
            }
        case TrialEnded():
            return {"state": State.SUSPENDED}
        case SwitchReserved():
            return {"reservation": event.switch}
        case SwitchedToPaid():
            return {
                "state": State.ACTIVE,
                "reservation": None,
                "billed_until": event.contract.first_day,
                **_under_contract(state, event.contract, event.rate),
            }
        case RenewalOptionChanged():
            return {"renewal": event.option}
        case Upgraded():
            return {
                "renewal": event.raised_option or state.renewal,
                **_under_contract(state, event.contract, event.rate),
            }
        case ContractRenewed():
            return _under_contract(state, event.contract, event.rate)
        case CancellationReserved():
            return {"reservation": ReservedCancellation(date=event.date, reserved_on=day_of(event.at))}
        case ReservationWithdrawn():
            return {"reservation": None}
        case Canceled():
            return {
                "state": State.CANCELED,
                "ended_at": event.at,
                "reservation": None,
                "billed_until": event.billed_until,
            }
        case Erased():
            return {
                "state": State.ERASED,
                "account": None,
                "admin_id": None,
                "pending_domain": None,
                "pending_rename_domain": None,
            }
        case DomainConfirmed():
            return {"pending_domain": None}
        case DomainLost(purpose="ACCOUNT"):
            return {"pending_domain": None, "domain_lost": True}
        case DomainLost():
            return {"pending_rename_domain": None}
        case AccountRenamed():
            return {
                "account": event.account,
                "pending_domain": None,
                "pending_rename_domain": None,
                "domain_lost": False,
                "renamed_at": event.at,
            }
        case RenameHeld():
            return {"pending_rename_domain": event.pending_domain}
        case RenameWithdrawn():
            return {"pending_rename_domain": None}
        case CommandRefused():
            return {}


def _under_contract(state: Subscription, contract: Contract, rate: Rate) -> dict[str, Any]:
    keep_from = min(contract.first_day, state.billed_until or contract.first_day)
    return {
        "contract": contract,
        "plan": rate.plan,
        "members": rate.members,
        "rates": append_rate(state.rates, rate, keep_from),
    }
