"""The verifier of webhooks reports every error injected into otherwise correct deliveries."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from .faults import Span
from .verify_webhooks import Event, delivery_differences, event_of
from .webhook_receivers import Arrival

LINE = {"kind": "SERVICE_FEE", "from": "2027-01-01", "to": "2027-02-01", "amount": 60000}
HAPPENED = ("TRIAL_STARTED", "SWITCHED_TO_PAID", "SERVICE_FEES_POSTED")


def due() -> list[Event]:
    """Return the events of two subscriptions of one customer."""
    return [
        event_of(
            {
                "subscription_id": subscription_id,
                "customer_id": "C-1",
                "sequence": sequence,
                "event": event,
                "state": "TRIAL" if sequence == 1 else "ACTIVE",
                "time": f"2027-0{sequence}-01T00:00:00+09:00",
                "message": f"{event} happened.",
                "ledger": [LINE] if event == "SERVICE_FEES_POSTED" else [],
            }
        )
        for subscription_id in ("one", "two")
        for sequence, event in enumerate(HAPPENED, start=1)
    ]


def arrival(event: Event, at: float, answer: int | None = 200) -> Arrival:
    """Return a call that was signed one second before it arrived."""
    headers = {
        "webhook-id": event["id"],
        "webhook-timestamp": str(int(at) - 1),
        "content-type": "application/cloudevents+json",
    }
    return Arrival(at, headers, json.dumps(event).encode(), verified=True, answer=answer)


class Deliveries:
    """Calls of an endpoint: each event of `due` once, every ten seconds from 10 on, without a loss."""

    def __init__(self) -> None:
        self.arrivals = [arrival(event, number * 10) for number, event in enumerate(due(), start=1)]
        self.unsettled: list[Span] = []

    def differences(self) -> list[str]:
        return delivery_differences(self.arrivals, due(), self.unsettled)

    def change(self, place: int, **fields: Any) -> None:
        """Change a field of an event."""
        event = json.loads(self.arrivals[place].body)
        self.arrivals[place] = replace(self.arrivals[place], body=json.dumps(event | fields).encode())

    def change_data(self, place: int, **fields: Any) -> None:
        self.change(place, data=json.loads(self.arrivals[place].body)["data"] | fields)

    def head(self, place: int, **headers: str) -> None:
        """Change a header of a call."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.arrivals[place] = replace(
            self.arrivals[place], headers={**self.arrivals[place].headers, **named}
        )

    def again(self, place: int, at: float) -> None:
        """Repeat a delivery, after all calls that arrived before that time."""
        self.arrivals.append(arrival(json.loads(self.arrivals[place].body), at))
        self.arrivals.sort(key=lambda each: each.at)


def swapped(deliveries: Deliveries) -> None:
    deliveries.arrivals[1], deliveries.arrivals[2] = deliveries.arrivals[2], deliveries.arrivals[1]


def of_another_customer(deliveries: Deliveries) -> None:
    deliveries.arrivals.append(arrival(due()[0] | {"id": "three.1", "subject": "three"}, 70))


def refused_and_skipped(deliveries: Deliveries) -> None:
    deliveries.arrivals[0] = replace(deliveries.arrivals[0], answer=500)


def out_of_order(deliveries: Deliveries) -> None:
    deliveries.again(0, 25)
    deliveries.unsettled.append((10, 25))


INJECTED: dict[str, tuple[Callable[[Deliveries], object], str]] = {
    "an event never told": (
        lambda deliveries: deliveries.arrivals.pop(2),
        "one.3 (worksub.subscription.service_fees_posted) was never delivered",
    ),
    "an event never taken": (
        lambda deliveries: deliveries.arrivals.append(replace(deliveries.arrivals.pop(5), answer=None)),
        "two.3 (worksub.subscription.service_fees_posted) was never delivered",
    ),
    "an event of another customer's": (of_another_customer, "three.1 is no event of this customer"),
    "two events swapped": (swapped, "one.3 was delivered before the previous event was accepted"),
    "one told before the one before it was taken": (
        refused_and_skipped,
        "one.2 was delivered before the previous event was accepted",
    ),
    "an earlier one told again after a later one": (out_of_order, "one.1 was repeated after one.2"),
    "one told again that had been settled": (
        lambda deliveries: deliveries.again(2, 31),
        "one.3 was repeated, and no response can have been lost",
    ),
    "another type": (
        lambda deliveries: deliveries.change(1, type="worksub.subscription.canceled"),
        "one.2 has type worksub.subscription.canceled, in the database it is "
        "worksub.subscription.switched_to_paid",
    ),
    "another time": (
        lambda deliveries: deliveries.change(1, time="2027-02-01T00:00:01+09:00"),
        "one.2 has time 2027-02-01T00:00:01+09:00, in the database it is 2027-02-01T00:00:00+09:00",
    ),
    "another number": (
        lambda deliveries: deliveries.change(1, sequence="0000000003"),
        "one.2 has sequence 0000000003",
    ),
    "a line left out": (lambda deliveries: deliveries.change_data(2, ledger=[]), "one.3 has data"),
    "more than the page says": (
        lambda deliveries: deliveries.change_data(0, account="acme"),
        "one.1 has data",
    ),
    "a field too many": (
        lambda deliveries: deliveries.change(0, actor="acme"),
        "one.1 has actor acme, in the database it is",
    ),
    "a person's name": (
        lambda deliveries: deliveries.change_data(0, message="zq1q"),
        "one.1 has the word zq1q, which is personal data",
    ),
    "a wrong signature": (
        lambda deliveries: deliveries.arrivals.__setitem__(
            0, replace(deliveries.arrivals[0], verified=False)
        ),
        "the signature of one.1 does not match the endpoint's secret",
    ),
    "another id in the header": (
        lambda deliveries: deliveries.head(0, webhook_id="one.2"),
        "one.1 has the webhook-id one.2",
    ),
    "another media type": (
        lambda deliveries: deliveries.head(0, content_type="text/plain"),
        "one.1 has the content type text/plain",
    ),
}


@pytest.mark.parametrize(("inject", "message"), INJECTED.values(), ids=INJECTED)
def test_verifier_reports_injected_delivery_errors(
    inject: Callable[[Deliveries], object], message: str
) -> None:
    deliveries = Deliveries()
    inject(deliveries)
    assert any(message in difference for difference in deliveries.differences())


def refused_first(deliveries: Deliveries) -> None:
    deliveries.arrivals.insert(0, arrival(due()[0], 5, answer=500))


def timed_out_first(deliveries: Deliveries) -> None:
    deliveries.arrivals.insert(0, arrival(due()[0], 5, answer=None))


def repeated_after_lost_response(deliveries: Deliveries) -> None:
    deliveries.again(0, 15)
    deliveries.unsettled.append((14, 14.5))


def late_from_delayed_process(deliveries: Deliveries) -> None:
    out_of_order(deliveries)
    deliveries.head(2, webhook_timestamp="11")


def regular_delivery(deliveries: Deliveries) -> None:
    pass


RIGHT = (
    regular_delivery,
    refused_first,
    timed_out_first,
    repeated_after_lost_response,
    late_from_delayed_process,
)


@pytest.mark.parametrize("happens", RIGHT, ids=lambda happens: happens.__name__)
def test_verifier_accepts_guaranteed_delivery_behavior(happens: Callable[[Deliveries], object]) -> None:
    deliveries = Deliveries()
    happens(deliveries)
    assert deliveries.differences() == []
