"""JSON Schema of the `data` field of webhook events, referenced by their `dataschema` field."""

from typing import Any

from fastapi import APIRouter

from subscription.events import EVENT_KINDS
from subscription.webhook_events import DATA_SCHEMA, EventPayload

router = APIRouter()


def event_schema() -> dict[str, Any]:
    """Return the schema as JSON Schema 2020-12."""
    schema = EventPayload.model_json_schema(mode="serialization")
    schema["properties"]["event"]["enum"] = list(EVENT_KINDS)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": DATA_SCHEMA,
        **schema,
        "title": "Event of a subscription",
        "description": "Timeline entry with its customer and the ledger lines that it posted.",
    }


@router.get("/schemas/subscription-event.json", include_in_schema=False)
async def get_event_schema() -> dict[str, Any]:
    return event_schema()
