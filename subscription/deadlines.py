"""Deadlines: which one is next, and when it is due (R14-R18, R21, R23, R30)."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from operator import itemgetter

from subscription.business_calendar import Instant, first_of_next_month, start_of
from subscription.model import Frozen
from subscription.state import ReservedCancellation, ReservedSwitch, State, Subscription


class DeadlineKind(StrEnum):
    """Kinds of deadlines, in the order in which deadlines of the same instant are processed (R23)."""

    SERVICE_FEES = "SERVICE_FEES"
    CANCELLATION = "CANCELLATION"
    SWITCH_TO_PAID = "SWITCH_TO_PAID"
    TRIAL_END = "TRIAL_END"
    GRACE_END = "GRACE_END"
    CONTRACT_END = "CONTRACT_END"
    ERASURE = "ERASURE"


class Deadline(Frozen):
    at: Instant
    what: DeadlineKind


def next_deadline(state: Subscription) -> Deadline | None:
    """Return the next deadline; None before the trial has started and after the subscription has ended."""
    return _earliest(_deadlines(state))


def next_change(state: Subscription) -> Deadline | None:
    """Return the next deadline that changes the subscription: any deadline except monthly service fees."""
    return _earliest((at, kind) for at, kind in _deadlines(state) if kind is not DeadlineKind.SERVICE_FEES)


def _earliest(deadlines: Iterable[tuple[datetime, DeadlineKind]]) -> Deadline | None:
    first = min(deadlines, key=itemgetter(0), default=None)
    return _deadline(*first) if first else None


# All subscriptions have deadlines at the same month ends.
@lru_cache(maxsize=4096)
def _deadline(at: datetime, kind: DeadlineKind) -> Deadline:
    return Deadline(at=at, what=kind)


def _deadlines(state: Subscription) -> Iterator[tuple[datetime, DeadlineKind]]:
    """Yield the current deadlines; those of the same instant come in processing order (R23)."""
    if state.billed_until and state.state is State.ACTIVE:
        yield start_of(first_of_next_month(state.billed_until)), DeadlineKind.SERVICE_FEES
    match state.reservation:
        case None:
            pass
        case ReservedCancellation(date=day):
            yield start_of(day), DeadlineKind.CANCELLATION
        case ReservedSwitch(date=day):
            yield start_of(day), DeadlineKind.SWITCH_TO_PAID
    if state.state is State.TRIAL and state.trial_ends_at:
        yield state.trial_ends_at, DeadlineKind.TRIAL_END
    if state.state is State.SUSPENDED and state.grace_ends_at:
        yield state.grace_ends_at, DeadlineKind.GRACE_END
    if state.state is State.ACTIVE and state.contract:
        yield start_of(state.contract.end_day), DeadlineKind.CONTRACT_END
    if state.state is State.CANCELED and state.ended_at:
        yield state.ended_at, DeadlineKind.ERASURE
