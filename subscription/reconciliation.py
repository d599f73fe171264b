"""Reconciliation: what can be amiss between the record, its own rules and Temporal, and how it is found."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from subscription.apply import apply
from subscription.calendar import Instant
from subscription.catalogue import PriceBook
from subscription.deadlines import canceled, due_first
from subscription.events import Canceled, Event, ServiceFeesPosted
from subscription.ledger import LedgerLine
from subscription.model import Frozen, Wire
from subscription.state import Subscription


class FindingCode(StrEnum):
    """What was found. The codes are a public interface; docs/schedules.md has their meanings."""

    WORKFLOW_MISSING = "WORKFLOW_MISSING"
    WORKFLOW_DIFFERS = "WORKFLOW_DIFFERS"
    WORKFLOW_STUCK = "WORKFLOW_STUCK"
    ROW_MISSING = "ROW_MISSING"
    ROW_DIFFERS = "ROW_DIFFERS"
    EVENTS_DIFFER = "EVENTS_DIFFER"
    DEADLINE_LONG_PAST = "DEADLINE_LONG_PAST"
    LINE_MISSING = "LINE_MISSING"
    LINE_UNEXPECTED = "LINE_UNEXPECTED"
    CHARGE_UNRECKONED = "CHARGE_UNRECKONED"
    DATA_LEFT = "DATA_LEFT"


class Finding(Frozen):
    """One thing that was amiss with one subscription; `message` names no person."""

    subscription_id: str
    code: FindingCode
    message: str
    repaired: bool = False


class ReconcilePage(Frozen):
    """Look at a page of the record's subscriptions, those after the id `after`. `run` names the report.

    What began or ended less than `grace_minutes` ago may still be under way.
    """

    run: str
    after: str = ""
    grace_minutes: int


class Reconciled(Frozen):
    """What a page came to; `next_after` is where the next one begins, None if there is none."""

    looked_at: int
    found: int
    repaired: int
    next_after: str | None = None


class ReconcileReport(Frozen):
    """What the job says when it is done; `worksub findings` has every finding."""

    summary: str
    run: str
    looked_at: int
    found: int
    repaired: int


class ReconcileStage(Wire):
    """How far a run has come. Who starts one by hand may set `grace_minutes` and leaves the rest out."""

    grace_minutes: Annotated[int, Field(ge=0)] = 10
    after: str = ""
    looked_at: int = 0
    found: int = 0
    repaired: int = 0


class ReportedFinding(Finding):
    """A finding in a report, and when it was found, by the database's clock."""

    run: str
    found_at: Instant


_TOLD_BY_EVENTS = (
    "sequence",
    "state",
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
"""The fields of a state that its events alone decide. What names a person is not among them."""


def retold(snapshot: Subscription, events: Sequence[Event]) -> Subscription:
    """The state by its events, with what they do not tell taken from the snapshot."""
    told = beginning_of(snapshot)
    for event in events:
        told = apply(told, event)
    changes = {field: getattr(told, field) for field in _TOLD_BY_EVENTS}
    if told.contract:
        changes |= {"plan": told.plan, "members": told.members}
    return snapshot.model_copy(update=changes)


def beginning_of(snapshot: Subscription) -> Subscription:
    return Subscription(
        subscription_id=snapshot.subscription_id,
        customer_id=snapshot.customer_id,
        region=snapshot.region,
        platform=snapshot.platform,
        plan=snapshot.plan,
        members=snapshot.members,
    )


def charges_unreckoned(snapshot: Subscription, events: Sequence[Event], book: PriceBook) -> Iterator[Event]:
    """The events that charge something else than the rules reckon from what happened before them."""
    state = beginning_of(snapshot)
    for event in events:
        if event.lines != _reckoned(state, event, book):
            yield event
        state = apply(state, event)


def _reckoned(before: Subscription, event: Event, book: PriceBook) -> tuple[LedgerLine, ...]:
    match event:
        case Canceled(because="ASKED"):
            return canceled(before, event.at, "ASKED").lines
        case Canceled() | ServiceFeesPosted():
            due = due_first(before, event.at, book)
            return due.lines if due else ()
        case _:
            return ()
