"""Timeline entries, and the results of commands and requests that contain them."""

from subscription.business_calendar import Instant
from subscription.event_messages import event_message
from subscription.events import Event
from subscription.issuer import Channel, Issuer
from subscription.ledger import LedgerLine
from subscription.model import Frozen
from subscription.state import Access, State, Subscription

TIMELINE_KEPT = 10
"""The number of latest entries in a workflow, for its `timeline` query; the database has all entries.

Each run passes them to the next one, so they are stored twice in every run.
"""


class TimelineEntry(Frozen):
    """An entry of a subscription's timeline, for users and clients."""

    sequence: int
    at: Instant
    event: str
    state: State
    message: str


class RecordedEntry(TimelineEntry):
    """An entry with the issuer of its command. `by` is personal data, so it is None after erasure (R31)."""

    channel: Channel
    by: str | None

    def shown_to_customer(self) -> "RecordedEntry":
        """Return the entry without the names and the channels of operators."""
        issuer = Issuer(channel=self.channel, by=self.by).shown_to_customer()
        return self.model_copy(update=dict(issuer))


class Answer(Frozen):
    """The result of an accepted command. Repeating the command returns the original result (R22)."""

    command: str
    message: str
    state: State
    access: Access
    events: tuple[TimelineEntry, ...]
    ledger: tuple[LedgerLine, ...]


class RequestAnswer(Frozen):
    """The response to an accepted request (R9)."""

    subscription_id: str
    state: State
    trial_ends_at: Instant


def timeline_entry(event: Event, state_after: Subscription, *, to_come: bool = False) -> TimelineEntry:
    return TimelineEntry(
        sequence=state_after.sequence,
        at=event.at,
        event=event.event,
        state=state_after.state,
        message=event_message(event, to_come=to_come),
    )
