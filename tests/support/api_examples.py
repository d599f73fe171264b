"""The examples in the OpenAPI description, computed by the rules; `make openapi` writes them."""

import base64
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from standardwebhooks import Webhook

from entrypoints.api.examples import SUBSCRIPTION_ID
from starter.client import CancellationQuote
from subscription.commands import SwitchToPaid
from subscription.decide import Decision
from subscription.entitlements import entitlements_of
from subscription.explain import explain
from subscription.forecast import ChangeQuote, quote_switch, upcoming
from subscription.issuer import Channel
from subscription.status import status_of
from subscription.timeline import Answer, RecordedEntry, RequestAnswer, TimelineEntry, timeline_entry
from subscription.webhook_events import EventPayload, cloud_event
from support.scenario_builder import BOOK, ScenarioBuilder, day

_PLAIN_ID = "sub-1"
_FUNCTIONS = {version.version: version.plans["basic"].functions for version in BOOK.versions}


def examples() -> dict[str, Any]:
    """Return one document for each response that the description shows."""
    subscription = ScenarioBuilder.requested(
        "2026-12-20 10:00", plan="basic", members=10, customer_id="C-1000482"
    )
    assert subscription.state.trial_ends_at is not None
    started = RequestAnswer(
        subscription_id=_PLAIN_ID,
        state=subscription.state.state,
        trial_ends_at=subscription.state.trial_ends_at,
    )
    switch = subscription.read("switch_to_paid", {"date": "2027-01-01", "term": "ANNUAL"})
    assert isinstance(switch, SwitchToPaid)
    change = quote_switch(subscription.state, switch, subscription.now, BOOK)
    assert isinstance(change, ChangeQuote)
    accepted = subscription.send("switch_to_paid", date="2027-01-01", term="ANNUAL").answers[-1]
    assert isinstance(accepted, Decision)
    answer = Answer(
        command="switch_to_paid",
        message=accepted.message,
        state=subscription.state.state,
        access=subscription.state.access,
        events=tuple(timeline_entry(event, subscription.state) for event in accepted.events),
        ledger=(),
    )
    subscription.at("2027-06-10 09:00")
    cancellation = CancellationQuote(
        **dict(subscription.quoted(day("2027-07-01"))), last_export_at=subscription.now
    )
    shortened = change.model_copy(update={"ledger": change.ledger[:1]})
    documents = {
        "request": started,
        "command": answer,
        "status": status_of(subscription.state, BOOK.domain_policy),
        "entitlements": entitlements_of(subscription.state, BOOK, _FUNCTIONS, 4, day("2027-06-10")),
        "timeline": {"items": [_issued(entry) for entry in subscription.timeline[:2]], "next": "Mg"},
        "ledger": _page(subscription.ledger[-1:]),
        "explanations": _page([explain(subscription.ledger[-1])]),
        "upcoming": _page(upcoming(subscription.state, subscription.now, BOOK, limit=2)),
        "quotes": {"a cancellation": cancellation, "a switch": shortened},
    }
    text = json.dumps(documents, default=_as_json, ensure_ascii=False)
    return dict(json.loads(text.replace(_PLAIN_ID, SUBSCRIPTION_ID)))


def _issued(entry: TimelineEntry) -> RecordedEntry:
    return RecordedEntry(**dict(entry), channel=Channel.API, by="billing system")


SAMPLE_SECRET = "whsec_" + base64.b64encode(b"a secret that only this page has").decode()
SAMPLE_SENT_AT = datetime(2027, 1, 31, 15, 0, 4, tzinfo=UTC)


def webhook_sample() -> tuple[dict[str, str], str]:
    """Return headers and body of a webhook as docs/webhooks.md shows it: the fees of a first month."""
    subscription = ScenarioBuilder.requested(
        "2026-12-20 10:00", plan="basic", members=10, customer_id="C-1000482"
    )
    subscription.send("switch_to_paid", date="2027-01-01", term="ANNUAL")
    subscription.at("2027-02-01 00:00")
    entry = next(each for each in subscription.timeline if each.event == "SERVICE_FEES_POSTED")
    event = cloud_event(
        EventPayload(
            subscription_id=SUBSCRIPTION_ID,
            customer_id=subscription.state.customer_id,
            sequence=entry.sequence,
            event=entry.event,
            state=entry.state,
            message=entry.message,
            ledger=tuple(subscription.ledger),
        ),
        entry.at,
    )
    body = event.model_dump_json(exclude_none=True).replace(_PLAIN_ID, SUBSCRIPTION_ID)
    headers = {
        "webhook-id": event.id,
        "webhook-timestamp": str(int(SAMPLE_SENT_AT.timestamp())),
        "webhook-signature": Webhook(SAMPLE_SECRET).sign(event.id, SAMPLE_SENT_AT, body),
    }
    return headers, body


def _page(items: Iterable[Any]) -> dict[str, Any]:
    return {"items": list(items), "next": None}


def _as_json(value: Any) -> Any:
    assert isinstance(value, BaseModel), value
    return value.model_dump(mode="json")


def written() -> str:
    return json.dumps(examples(), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    print(written(), end="")
