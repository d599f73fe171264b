"""Webhook events (CloudEvents), delivery states and retry backoff."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from subscription.business_calendar import Instant
from subscription.ledger import LedgerLine
from subscription.model import Frozen
from subscription.state import State

PARKED_AFTER = timedelta(days=3)
"""An event that could not be delivered for this long is parked (dead letter)."""
_LONGEST_ENDPOINT_PAUSE = timedelta(minutes=10)
_LONGEST_SLOW_PAUSE = timedelta(minutes=1)
_LONGEST_EVENT_PAUSE = timedelta(hours=6)

TYPE_PREFIX = "worksub.subscription."
TEST_TYPE = "worksub.webhook.test"
DATA_SCHEMA = "urn:worksub:schema:subscription-event:1"
"""The `$id` of the JSON Schema of `data`: docs/schemas/subscription-event.json, also served by the API."""
_SOURCE = "/worksub/subscriptions"


class DeliveryState(StrEnum):
    WAITING = "WAITING"
    DELIVERED = "DELIVERED"
    """The endpoint has answered 2xx."""
    PARKED = "PARKED"
    """A dead letter: delivery failed for three days. An operator or client can request a retry."""


class EndpointStatus(StrEnum):
    ENABLED = "ENABLED"
    PAUSED = "PAUSED"
    """Events are queued and not sent, until the endpoint is enabled again."""
    DISABLED = "DISABLED"
    """The endpoint has answered 410: events are neither queued nor sent, until it is enabled again."""


class EventPayload(Frozen):
    """The `data` of an event: a timeline entry with its subscription, customer and ledger lines."""

    subscription_id: str
    customer_id: str
    sequence: int
    event: str
    state: State
    message: str
    ledger: tuple[LedgerLine, ...] = ()


class CloudEvent(Frozen):
    """CloudEvents 1.0 in JSON. `id` is the same at every attempt; `sequence` orders a subject's events."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str = _SOURCE
    type: str
    subject: str | None = None
    time: Instant
    sequence: str | None = None
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str | None = None
    data: EventPayload | None = None


def event_type(event: str) -> str:
    return TYPE_PREFIX + event.lower()


def cloud_event(payload: EventPayload, at: datetime) -> CloudEvent:
    return CloudEvent(
        id=f"{payload.subscription_id}.{payload.sequence}",
        type=event_type(payload.event),
        subject=payload.subscription_id,
        time=at,
        sequence=f"{payload.sequence:010}",
        dataschema=DATA_SCHEMA,
        data=payload,
    )


def make_test_event(number: int, at: datetime) -> CloudEvent:
    """Return the test event that checks whether an endpoint is reachable."""
    return CloudEvent(id=f"test.{number}", type=TEST_TYPE, time=at)


def event_retry_delay(attempts: int) -> timedelta:
    """Return the delay after failed attempts of one event: 5 s, 20 s, 80 s and so on, up to 6 hours."""
    return min(timedelta(seconds=5 * 4 ** min(attempts - 1, 8)), _LONGEST_EVENT_PAUSE)


def endpoint_retry_delay(failures: int) -> timedelta:
    """Return the delay after consecutive failures of an endpoint: 2 s, 4 s and so on, up to 10 minutes."""
    return min(timedelta(seconds=2 ** min(failures, 10)), _LONGEST_ENDPOINT_PAUSE)


def pause_of_slow_endpoint(failures: int) -> timedelta:
    """Return the delay after a slow success: that of a failure, but at most a minute."""
    return min(endpoint_retry_delay(failures), _LONGEST_SLOW_PAUSE)
