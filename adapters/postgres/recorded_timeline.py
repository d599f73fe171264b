"""The recorded timeline of a subscription."""

from typing import TypeVar

import asyncpg

from adapters.postgres.pool import Connection
from subscription.activity_contracts import CustomerEvent
from subscription.event_documents import event_from_json
from subscription.event_messages import event_message
from subscription.timeline import TIMELINE_KEPT, RecordedEntry, TimelineEntry

Entry = TypeVar("Entry", TimelineEntry, RecordedEntry, CustomerEvent)

ENTRY_COLUMNS = "sequence, effective_at, event, state, detail"
"""Columns of `lifecycle_events` that an entry is read from."""


def entry_from_row(model: type[Entry], subscription_id: str, row: asyncpg.Record) -> Entry:
    """Return the entry of a row with `ENTRY_COLUMNS`; its message is rendered from the event."""
    message = event_message(event_from_json(subscription_id, row["detail"]))
    return model(**row, at=row["effective_at"], message=message)


async def latest_timeline(connection: Connection, subscription_id: str) -> tuple[TimelineEntry, ...]:
    rows = await connection.fetch(
        f"""
        SELECT {ENTRY_COLUMNS} FROM lifecycle_events
         WHERE subscription_id = $1 ORDER BY sequence DESC LIMIT $2
        """,  # noqa: S608 - a constant
        subscription_id,
        TIMELINE_KEPT,
    )
    return tuple(entry_from_row(TimelineEntry, subscription_id, row) for row in reversed(rows))
