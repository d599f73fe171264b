"""The verdict on what one customer was told by webhooks: what docs/webhooks.md promises, by the record.

Events are put together here as that page shows them, from what SQL shows of the record.
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
    """What the endpoint must be told of an event of the record, to the last field."""
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


def differences_told(
    arrivals: Sequence[Arrival], due: Sequence[Event], unsettled: Sequence[Span]
) -> list[str]:
    """Everything in which an endpoint was not told as it must be, each as a sentence.

    `due` is what happened to the customer's subscriptions, each one's in order; `unsettled` is when an answer
    may have been lost on its way into the database.
    """
    told = [json.loads(arrival.body) for arrival in arrivals]
    rights = {right["id"]: right for right in due}
    return [
        *(said for arrival in arrivals for said in _of_the_call(arrival)),
        *(said for event in told for said in _of_the_event(event, rights)),
        *_of_what_is_missing(arrivals, told, due),
        *_of_the_order(arrivals, told),
        *_of_repeats(arrivals, told, unsettled),
    ]


def _of_the_call(arrival: Arrival) -> Iterator[str]:
    id_ = json.loads(arrival.body)["id"]
    if not arrival.verified:
        yield f"the signature of {id_} is none of the endpoint's secret"
    if arrival.headers.get("webhook-id") != id_:
        yield f"{id_} came under the webhook-id {arrival.headers.get('webhook-id')}"
    if arrival.headers.get("content-type") != _MEDIA_TYPE:
        yield f"{id_} came as {arrival.headers.get('content-type')}"
    if named := re.search(MARKER.encode(), arrival.body):
        yield f"{id_} has the word {named[0].decode()}, which names somebody"


def _of_the_event(event: Event, rights: Mapping[str, Event]) -> Iterator[str]:
    right = rights.get(event["id"])
    if right is None:
        yield f"{event['id']} is no event of this customer's"
        return
    for field in sorted(event.keys() | right.keys()):
        if event.get(field) != right.get(field):
            yield f"{event['id']} has {field} {event.get(field)}, by the record it is {right.get(field)}"


def _of_what_is_missing(
    arrivals: Sequence[Arrival], told: Sequence[Event], due: Sequence[Event]
) -> Iterator[str]:
    taken = {event["id"] for arrival, event in zip(arrivals, told, strict=True) if arrival.taken}
    for right in due:
        if right["id"] not in taken:
            yield f"{right['id']} ({right['type']}) was never delivered"


def _of_the_order(arrivals: Sequence[Arrival], told: Sequence[Event]) -> Iterator[str]:
    """The next event is sent when the one before is settled, which it is not before it was taken."""
    furthest: dict[str, tuple[int, Arrival]] = {}
    taken: set[str] = set()
    for arrival, event in zip(arrivals, told, strict=True):
        subject, sequence = event["subject"], int(event["sequence"])
        before, then = furthest.get(subject, (0, arrival))
        if sequence > before:
            if sequence > 1 and f"{subject}.{sequence - 1}" not in taken:
                yield f"{event['id']} was told before the one before it was taken"
            furthest[subject] = sequence, arrival
        elif sequence < before and _signed_at(arrival) > then.at:
            # One that was signed before, by a process that was held up, may still come in late.
            yield f"{event['id']} was told again after {subject}.{before}"
        if arrival.taken:
            taken.add(event["id"])


def _of_repeats(
    arrivals: Sequence[Arrival], told: Sequence[Event], unsettled: Sequence[Span]
) -> Iterator[str]:
    """What was taken is told again only where the answer may have been lost."""
    taken: dict[str, Arrival] = {}
    for arrival, event in zip(arrivals, told, strict=True):
        earlier = taken.get(event["id"])
        if earlier and not any(
            began <= arrival.at and _signed_at(earlier) - 1 <= ended for began, ended in unsettled
        ):
            yield f"{event['id']} was told again, and no answer can have been lost"
        if arrival.taken:
            taken[event["id"]] = arrival


def _signed_at(arrival: Arrival) -> int:
    """In whole seconds; it was taken up a moment before."""
    return int(arrival.headers["webhook-timestamp"])
