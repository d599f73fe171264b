"""Documents of events in the database and in workflow histories: JSON from which the event is restored.

A ledger line is part of the event that posts it. Its document leaves out the values that follow from the
event: the key, the time of posting, and the days, plan and members of a part that are those of the line. It
also leaves out a percentage of 100, and the basis of a price that was in force.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic_core import from_json

from subscription.events import EVENT_ADAPTER, Event, private_fields
from subscription.ledger import LedgerLine

EventDocument = Mapping[str, Any]

_OF_THE_LINE = ("from", "to", "plan", "members")
"""The fields of a part that are usually those of its line."""
_IN_FORCE = {"basis": "IN_FORCE"}


def event_document(subscription_id: str, event: Event) -> EventDocument:
    """Return the document of an event."""
    document: dict[str, Any] = event.model_dump(mode="json")
    if event.lines:
        at = document["at"]
        document["posted"] = [_line_document(subscription_id, at, line) for line in document["posted"]]
    return document


def public_json(subscription_id: str, event: Event) -> str:
    """Return the document of an event as JSON, without the fields that may identify a person."""
    private, document = private_fields(event), event_document(subscription_id, event)
    public = {name: value for name, value in document.items() if name not in private}
    return json.dumps(public, ensure_ascii=False, separators=(",", ":"))


def event_from_document(subscription_id: str, document: Any) -> Event:
    """Return the event of a document; raise `ValidationError` if it is invalid."""
    if isinstance(document, dict) and isinstance(posted := document.get("posted"), list | tuple):
        at = document.get("at")
        document = {**document, "posted": [_line_fields(subscription_id, at, line) for line in posted]}
    return EVENT_ADAPTER.validate_python(document)


def event_from_json(subscription_id: str, public: str, private: str | None = None) -> Event:
    """Return the event of a stored document, with its private fields if they still exist.

    Raise `ValueError` if it is invalid.
    """
    document = from_json(public)
    if private is not None and isinstance(document, dict):
        document |= from_json(private)
    return event_from_document(subscription_id, document)


def line_from_document(subscription_id: str, posted_at: datetime, document: Any) -> LedgerLine:
    """Return the ledger line of a document; raise `ValidationError` if it is invalid."""
    return LedgerLine.model_validate(_line_fields(subscription_id, posted_at, document))


def line_from_json(subscription_id: str, posted_at: datetime, document: str) -> LedgerLine:
    """Return the ledger line of a stored document."""
    return line_from_document(subscription_id, posted_at, from_json(document))


def _line_document(subscription_id: str, at: str, line: Mapping[str, Any]) -> EventDocument:
    implied = _implied_fields(subscription_id, at, line)
    of_the_line = {name: line[name] for name in _OF_THE_LINE}
    parts = [
        {
            **_without(of_the_line, part),
            "origins": [_without(_IN_FORCE, origin) for origin in part["origins"]],
        }
        for part in line["pieces"]
    ]
    return {**_without(implied, line), "pieces": parts}


def _line_fields(subscription_id: str, at: Any, document: Any) -> Any:
    """Return the fields of a line. The validation rejects a document without the expected structure."""
    if not isinstance(document, dict):
        return document
    line = {**_implied_fields(subscription_id, at, document), **document}
    of_the_line = {name: document[name] for name in _OF_THE_LINE if name in document}
    parts = _each_with(of_the_line, document.get("pieces"))
    if isinstance(parts, list):
        line["pieces"] = [
            {**part, "origins": _each_with(_IN_FORCE, part.get("origins"))}
            if isinstance(part, dict)
            else part
            for part in parts
        ]
    return line


def _without(implied: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in implied or value != implied[name]}


def _each_with(implied: Mapping[str, Any], documents: Any) -> Any:
    """Return the documents with the implied fields; anything else than a list of documents is unchanged."""
    if not isinstance(documents, list):
        return documents
    return [{**implied, **each} if isinstance(each, dict) else each for each in documents]


def _implied_fields(subscription_id: str, at: Any, line: Mapping[str, Any]) -> Mapping[str, Any]:
    key = f"{subscription_id}/{line.get('kind')}/{line.get('from')}"
    return {"key": key, "effective_at": at, "percent": 100}
