"""Timeline entries, and the results of commands and requests that contain them."""

from collections.abc import Mapping

from subscription.business_calendar import Instant
from subscription.event_text import event_message
from subscription.events import Event
from subscription.ledger import LedgerLine
from subscription.model import Frozen
from subscription.state import Access, State, Subscription

TIMELINE_KEPT = 100
"""So many of the latest entries a workflow keeps for its `timeline` query; the record has them all."""


class TimelineEntry(Frozen):
    """One line of a subscription's life, in the shape that people and programs read."""

    sequence: int
    at: Instant
    event: str
    state: State
    message: str


class Answer(Frozen):
    """What an accepted command caused (R22: the same again when it is sent again)."""

    command: str
    message: str
    state: State
    access: Access
    events: tuple[TimelineEntry, ...]
    ledger: tuple[LedgerLine, ...]


class RequestAnswer(Frozen):
    """The answer to an accepted request (R9)."""

    subscription_id: str
    state: State
    trial_ends_at: Instant


class ErasureCertificate(Frozen):
    """What was erased: how many rows of each, and when, counted again afterwards (R31)."""

    subscription_id: str
    erased_at: Instant
    rows: Mapping[str, int]


def timeline_entry(event: Event, state_after: Subscription, *, to_come: bool = False) -> TimelineEntry:
    return TimelineEntry(
        sequence=state_after.sequence,
        at=event.at,
        event=event.event,
        state=state_after.state,
        message=event_message(event, to_come=to_come),
    )
