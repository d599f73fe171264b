"""The recorded timeline of a subscription."""

from adapters.postgres.pool import Connection
from subscription.timeline import TIMELINE_KEPT, TimelineEntry

TIMELINE_COLUMNS = "sequence, effective_at AS at, event, state, message"
"""Columns of `lifecycle_events` that a `TimelineEntry` is read from."""


async def latest_timeline(connection: Connection, subscription_id: str) -> tuple[TimelineEntry, ...]:
    rows = await connection.fetch(
        f"""
        SELECT {TIMELINE_COLUMNS} FROM lifecycle_events
         WHERE subscription_id = $1 ORDER BY sequence DESC LIMIT $2
        """,  # noqa: S608 - a constant
        subscription_id,
        TIMELINE_KEPT,
    )
    return tuple(TimelineEntry.model_validate(dict(row)) for row in reversed(rows))
