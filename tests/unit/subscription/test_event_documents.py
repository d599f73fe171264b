"""Stored documents of events: what they leave out, and the event that is restored from them."""

import json

import pytest
from pydantic import ValidationError
from support.scenario_builder import ScenarioBuilder

from subscription.event_documents import (
    event_document,
    event_from_document,
    event_from_json,
    line_from_json,
    public_json,
)


def test_line_document_leaves_out_what_the_event_implies() -> None:
    """31 of 31 days in January at 3,000 KRW."""
    subscription = ScenarioBuilder.paid("2027-01-01", "ANNUAL", plan="lite", members=1).at("2027-02-01 00:00")
    origin = {"version": "2026-11", "decided_on": "2027-01-01"}
    prices = {"list_price": 3600, "annual_price": 3000}
    assert event_document("sub-1", subscription.events[-1]) == {
        "at": "2027-02-01T00:00:00+09:00",
        "event": "SERVICE_FEES_POSTED",
        "billed_until": "2027-02-01",
        "posted": [
            {
                "kind": "SERVICE_FEE",
                "from": "2027-01-01",
                "to": "2027-02-01",
                "plan": "lite",
                "members": 1,
                "amount": 3000,
                "pieces": [{"price": 3000, **prices, "origins": [origin]}],
            }
        ],
    }


def test_each_event_is_restored_from_its_document() -> None:
    """The cancellation has lines of several parts: another plan, other members, and ten percent."""
    subscription = ScenarioBuilder.paid("2027-01-10", "ANNUAL", plan="lite", members=10)
    subscription.at("2027-02-15 09:00").send("upgrade", plan="basic")
    subscription.at("2027-03-20 09:00").send("upgrade", members=20).at("2027-05-05 09:00").send("cancel")
    assert {len(line.pieces) for line in subscription.ledger} == {1, 3}
    assert {line.percent for line in subscription.ledger} == {100, 10}
    for event in subscription.events:
        document = json.loads(json.dumps(event_document("sub-1", event)))
        assert event_from_document("sub-1", document) == event
        assert event_from_document("sub-1", event.model_dump(mode="json")) == event
    ended = subscription.events[-1]
    stored = json.loads(public_json("sub-1", ended))["posted"]
    assert tuple(line_from_json("sub-1", ended.at, json.dumps(line)) for line in stored) == ended.lines


def test_private_fields_are_stored_apart_and_restored() -> None:
    subscription = ScenarioBuilder.paid("2027-01-10", "MONTHLY").at("2027-02-15 09:00")
    renamed = subscription.send("rename_account", group="another-name").events[-1]
    public = public_json("sub-1", renamed)
    assert "another-name" not in public
    assert event_from_json("sub-1", public, renamed.model_dump_json()) == renamed
    assert event_from_json("sub-1", public).event == "ACCOUNT_RENAMED"


@pytest.mark.parametrize(
    "damage",
    [
        '{"event": "CANCELED", "posted": [{"pieces": [{"origins": [1]}]}]}',
        "[]",
        '{"was": 1}',
        '{"posted": [1]}',
        '{"event": "CANCELED", "posted": [{"pieces": [1]}]}',
    ],
)
def test_damaged_document_is_a_validation_error(damage: str) -> None:
    with pytest.raises(ValidationError):
        event_from_json("sub-1", damage, "{}")
