"""The outbox of webhooks in SQL: filled by the record's own transactions, emptied in order, by one at a time.

The first event of a subscription that waits for an endpoint is the only one that may be sent there. Whoever
sends it has its row locked until it is settled, so neither it nor the next one is sent by another process.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from activities.database import Connection, Pool
from subscription.calendar import KST
from subscription.ledger import LedgerLine
from subscription.state import State
from subscription.webhooks import (
    PARKED_AFTER,
    CloudEvent,
    Told,
    cloud_event,
    pause_of_endpoint,
    pause_of_event,
    trial_event,
)


@dataclass(frozen=True)
class Taken:
    """A delivery that this transaction alone may make."""

    number: int
    endpoint_id: str
    url: str
    attempts: int
    failures: int
    event: CloudEvent
    secrets: tuple[str, ...]
    """All that are in force, the newest first."""


async def due_endpoints(pool: Pool) -> list[str]:
    """To whom something may be sent now."""
    rows = await pool.fetch(
        """
        SELECT endpoint_id FROM webhook_endpoints AS endpoint
         WHERE removed_at IS NULL AND coalesce(paused_until, '-infinity') <= clock_timestamp()
           AND EXISTS (SELECT FROM webhook_deliveries AS delivery
                        WHERE delivery.endpoint_id = endpoint.endpoint_id AND state = 'WAITING'
                          AND next_attempt_at <= clock_timestamp())
        """
    )
    return [row["endpoint_id"] for row in rows]


async def due(pool: Pool, endpoint_id: str, limit: int) -> list[int]:
    """The deliveries that may be made now, one for each subscription at most; the longest due first."""
    rows = await pool.fetch(
        """
        SELECT number FROM webhook_deliveries AS delivery
         WHERE endpoint_id = $1 AND state = 'WAITING' AND next_attempt_at <= clock_timestamp()
           AND NOT EXISTS (SELECT FROM webhook_deliveries AS earlier
                            WHERE earlier.endpoint_id = $1 AND earlier.state = 'WAITING'
                              AND earlier.subscription_id = delivery.subscription_id
                              AND earlier.sequence < delivery.sequence)
         ORDER BY next_attempt_at, number LIMIT $2
        """,
        endpoint_id,
        limit,
    )
    return [row["number"] for row in rows]


@asynccontextmanager
async def taken(pool: Pool, number: int) -> AsyncIterator[tuple[Connection, Taken | None]]:
    """The delivery, if it may still be made and nobody else is at it; nobody else can be meanwhile."""
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(
            """
            SELECT number, endpoint_id, url, attempts, failures, subscription_id, sequence,
                   delivery.queued_at
              FROM webhook_deliveries AS delivery JOIN webhook_endpoints USING (endpoint_id)
             WHERE number = $1 AND state = 'WAITING' AND next_attempt_at <= clock_timestamp()
               AND removed_at IS NULL AND coalesce(paused_until, '-infinity') <= clock_timestamp()
               FOR UPDATE OF delivery SKIP LOCKED
            """,
            number,
        )
        if row is None:
            yield connection, None
            return
        event = (
            await _event(connection, row["subscription_id"], row["sequence"])
            if row["subscription_id"]
            else trial_event(number, row["queued_at"])
        )
        yield (
            connection,
            Taken(
                number=number,
                endpoint_id=row["endpoint_id"],
                url=row["url"],
                attempts=row["attempts"],
                failures=row["failures"],
                event=event,
                secrets=await _secrets(connection, row["endpoint_id"]),
            ),
        )


async def delivered(connection: Connection, delivery: Taken) -> None:
    await connection.execute(
        """
        UPDATE webhook_deliveries
           SET state = 'DELIVERED', attempts = attempts + 1, last_error = NULL, settled_at = clock_timestamp()
         WHERE number = $1
        """,
        delivery.number,
    )
    if delivery.failures:
        await connection.execute(
            "UPDATE webhook_endpoints SET failures = 0, paused_until = NULL WHERE endpoint_id = $1",
            delivery.endpoint_id,
        )


async def put_off(connection: Connection, delivery: Taken, reason: str) -> None:
    """The endpoint has refused this event: those after it wait, other subscriptions' do not."""
    await _failed(connection, delivery, reason, pause_of_event(delivery.attempts + 1))


async def pause(connection: Connection, delivery: Taken, reason: str) -> None:
    """The endpoint is away: all that waits for it waits on, and what has waited too long is parked."""
    pause = pause_of_endpoint(delivery.failures + 1)
    await _failed(connection, delivery, reason, pause)
    # Of those who find it away at the same time, one counts.
    await connection.execute(
        """
        UPDATE webhook_endpoints SET failures = failures + 1, paused_until = clock_timestamp() + $2::interval
         WHERE endpoint_id = $1 AND failures = $3
        """,
        delivery.endpoint_id,
        pause,
        delivery.failures,
    )
    await connection.execute(
        """
        UPDATE webhook_deliveries SET state = 'PARKED', last_error = $2, settled_at = clock_timestamp()
          FROM (SELECT number FROM webhook_deliveries
                 WHERE endpoint_id = $1 AND state = 'WAITING'
                   AND queued_at < clock_timestamp() - $3::interval
                   FOR UPDATE SKIP LOCKED) AS old
         WHERE webhook_deliveries.number = old.number
        """,
        delivery.endpoint_id,
        reason,
        PARKED_AFTER,
    )


async def _failed(connection: Connection, delivery: Taken, reason: str, pause: timedelta) -> None:
    """Tried again after the pause, or parked if it has been tried for long enough."""
    await connection.execute(
        """
        UPDATE webhook_deliveries
           SET attempts = attempts + 1, last_error = $3, next_attempt_at = clock_timestamp() + $2::interval,
               state = CASE WHEN old THEN 'PARKED' ELSE state END,
               settled_at = CASE WHEN old THEN clock_timestamp() END
          FROM (SELECT number, queued_at < clock_timestamp() - $4::interval AS old
                  FROM webhook_deliveries WHERE number = $1) AS this
         WHERE webhook_deliveries.number = this.number
        """,
        delivery.number,
        pause,
        reason,
        PARKED_AFTER,
    )


async def _event(connection: Connection, subscription_id: str, sequence: int) -> CloudEvent:
    row = await connection.fetchrow(
        """
        SELECT customer_id, event, lifecycle_events.state, effective_at, message
          FROM lifecycle_events JOIN subscriptions USING (subscription_id)
         WHERE subscription_id = $1 AND lifecycle_events.sequence = $2
        """,
        subscription_id,
        sequence,
    )
    assert row is not None
    lines = await connection.fetch(
        "SELECT line FROM ledger_lines WHERE subscription_id = $1 AND sequence = $2 ORDER BY position",
        subscription_id,
        sequence,
    )
    at: datetime = row["effective_at"]
    return cloud_event(
        Told(
            subscription_id=subscription_id,
            customer_id=row["customer_id"],
            sequence=sequence,
            event=row["event"],
            state=State(row["state"]),
            message=row["message"],
            ledger=tuple(LedgerLine.model_validate_json(each["line"]) for each in lines),
        ),
        at.astimezone(KST),
    )


async def _secrets(connection: Connection, endpoint_id: str) -> tuple[str, ...]:
    rows = await connection.fetch(
        """
        SELECT secret FROM webhook_secrets
         WHERE endpoint_id = $1 AND (ends_at IS NULL OR ends_at > clock_timestamp())
         ORDER BY created_at DESC
        """,
        endpoint_id,
    )
    return tuple(row["secret"] for row in rows)
