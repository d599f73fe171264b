"""Validation of webhook event data against the published JSON Schema."""

import json
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator
from support.markdown_pages import page
from unit.subscription.test_event_messages import CASES

from entrypoints.api.event_schema import event_schema
from subscription.business_calendar import KST
from subscription.event_messages import event_message
from subscription.events import EVENT_KINDS, Event
from subscription.state import State
from subscription.webhook_events import EventPayload, cloud_event

PUBLISHED: dict[str, Any] = json.loads(page("docs/schemas/subscription-event.json"))


def data_of(event: Event) -> dict[str, Any]:
    """Return the `data` field of the webhook for this event."""
    payload = EventPayload(
        subscription_id="0b5b0f1e-6f53-5a3e-9d0e-6f5b1d1f8f0a",
        customer_id="C-1000482",
        sequence=4,
        event=event.event,
        state=State.ACTIVE,
        message=event_message(event),
        ledger=event.lines,
    )
    sent = json.loads(cloud_event(payload, event.at.astimezone(KST)).model_dump_json(exclude_none=True))
    assert sent["dataschema"] == PUBLISHED["$id"]
    data: dict[str, Any] = sent["data"]
    return data


def closed(schema: Any) -> Any:
    """Return the schema with `additionalProperties: false` on every object."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {name: closed(each) for name, each in schema.items()}
    return changed | {"additionalProperties": False} if "properties" in schema else changed


STRICT = Draft202012Validator(closed(PUBLISHED), validate_formats=True)


def test_every_event_type_has_a_case() -> None:
    assert {event.event for event, _ in CASES} == set(EVENT_KINDS)
    assert event_schema() == PUBLISHED


@pytest.mark.parametrize(
    "event",
    [each for event, changes in CASES for each in (event, event.model_copy(update=changes))],
    ids=lambda event: event.event,
)
def test_event_data_matches_the_schema(event: Event) -> None:
    assert [error.message for error in STRICT.iter_errors(data_of(event))] == []


def test_schema_rejects_invalid_event_data() -> None:
    changed = [event.model_copy(update=changes) for event, changes in CASES]
    posted = next(event for event in changed if event.lines)
    data = data_of(posted)
    assert data["ledger"]
    for wrong in (
        {**data, "event": "GONE"},
        {**data, "state": "HAPPY"},
        {**data, "colour": "red"},
        {name: value for name, value in data.items() if name != "customer_id"},
        {**data, "ledger": [{**data["ledger"][0], "from": "1 January"}]},
        {**data, "ledger": [{**data["ledger"][0], "amount": "100"}]},
    ):
        assert not STRICT.is_valid(wrong)
