"""Verification of one customer's webhook deliveries: the guarantees of docs/webhooks.md.

Expected events are built here as that page shows them, from the rows of the database.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from .faults import Span
from .observed_state import MARKER
from .webhook_receivers import Arrival

Event: TypeAlias = dict[str, Any]

_MEDIA_TYPE = "application/cloudevents+json"


def event_of(row: Mapping[str, Any]) -> Event:
    """Return the complete payload that the endpoint must receive for an event of the database."""
    subscription_id, sequence = row["subscription_id"], row["sequence"]
    return {
        "specversion": "1.0",
        "id": f"{subscription_id}.{sequence}",
        "source": "/worksub/subscriptions",
        "type": f"worksub.subscription.{row['event'].lower()}",
        "subject": subscription_id,
        "time": row["time"],
        "sequence": f"{sequence:010}",
        "datacontenttype": "application/json",
        "dataschema": "urn:worksub:schema:subscription-event:1",
        "data": {
            "subscription_id": subscription_id,
            "customer_id": row["customer_id"],
            "sequence": sequence,
            "event": row["event"],
            "state": row["state"],
            "message": row["message"],
            "ledger": row["ledger"],
        },
    }


def delivery_differences(
    arrivals: Sequence[Arrival], due: Sequence[Event], unsettled: Sequence[Span]
) -> list[str]:
    """Return all errors in the deliveries to an endpoint, each as a sentence.

    `due` has the events of the customer's subscriptions, in order per subscription. `unsettled` has the times
    at which a result may have been lost on its way into the database.
    """
    delivered = [json.loads(arrival.body) for arrival in arrivals]
    rights = {right["id"]: right for right in due}
    return [
        *(message for arrival in arrivals for message in _of_call(arrival)),
        *(message for event in delivered for message in _of_event(event, rights)),
        *_of_missing(arrivals, delivered, due),
        *_of_order(arrivals, delivered),
        *_of_repeats(arrivals, delivered, unsettled),
    ]


def _of_call(arrival: Arrival) -> Iterator[str]:
    id_ = json.loads(arrival.body)["id"]
    if not arrival.verified:
        yield f"the signature of {id_} does not match the endpoint's secret"
    if arrival.headers.get("webhook-id") != id_:
        yield f"{id_} has the webhook-id {arrival.headers.get('webhook-id')}"
    if arrival.headers.get("content-type") != _MEDIA_TYPE:
        yield f"{id_} has the content type {arrival.headers.get('content-type')}"
    if named := re.search(MARKER.encode(), arrival.body):
        yield f"{id_} has the word {named[0].decode()}, which is personal data"


def _of_event(event: Event, rights: Mapping[str, Event]) -> Iterator[str]:
    right = rights.get(event["id"])
    if right is None:
        yield f"{event['id']} is no event of this customer"
        return
    for field in sorted(event.keys() | right.keys()):
        if event.get(field) != right.get(field):
            yield f"{event['id']} has {field} {event.get(field)}, in the database it is {right.get(field)}"


def _of_missing(
    arrivals: Sequence[Arrival], delivered: Sequence[Event], due: Sequence[Event]
) -> Iterator[str]:
    taken = {event["id"] for arrival, event in zip(arrivals, delivered, strict=True) if arrival.taken}
    for right in due:
        if right["id"] not in taken:
            yield f"{right['id']} ({right['type']}) was never delivered"


def _of_order(arrivals: Sequence[Arrival], delivered: Sequence[Event]) -> Iterator[str]:
    """Check the order: an event is sent after the previous one is completed, that is, accepted."""
    furthest: dict[str, tuple[int, Arrival]] = {}
    taken: set[str] = set()
    for arrival, event in zip(arrivals, delivered, strict=True):
        subject, sequence = event["subject"], int(event["sequence"])
        before, then = furthest.get(subject, (0, arrival))
        if sequence > before:
            if sequence > 1 and f"{subject}.{sequence - 1}" not in taken:
                yield f"{event['id']} was delivered before the previous event was accepted"
            furthest[subject] = sequence, arrival
        elif sequence < before and _signed_at(arrival) > then.at:
            # A call that a delayed process signed earlier may still arrive late.
            yield f"{event['id']} was repeated after {subject}.{before}"
        if arrival.taken:
            taken.add(event["id"])


def _of_repeats(
    arrivals: Sequence[Arrival], delivered: Sequence[Event], unsettled: Sequence[Span]
) -> Iterator[str]:
    """Check that an accepted event is repeated only if its result may have been lost."""
    taken: dict[str, Arrival] = {}
    for arrival, event in zip(arrivals, delivered, strict=True):
        earlier = taken.get(event["id"])
        if earlier and not any(
            began <= arrival.at and _signed_at(earlier) - 1 <= ended for began, ended in unsettled
        ):
            yield f"{event['id']} was repeated, and no response can have been lost"
        if arrival.taken:
            taken[event["id"]] = arrival


def _signed_at(arrival: Arrival) -> int:
    """Return the signing time in whole seconds; the delivery began a moment before."""
    return int(arrival.headers["webhook-timestamp"])
