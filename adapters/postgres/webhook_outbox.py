"""Webhook outbox: filled by a trigger on lifecycle_events, emptied in order.

Only the first waiting delivery of a subscription and endpoint may be sent. A dispatcher claims it with a
lease longer than the HTTP timeout, so no other process sends this delivery or the next one concurrently. When
a process is killed, its leases expire, and the deliveries are sent again (at-least-once delivery).

A delivery that fails for three days is parked: dead-lettered with the state PARKED. The command
`worksub webhooks replay` sends parked deliveries again.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapters.postgres.outbox import UNCLAIMED, Outbox
from adapters.postgres.pool import Connection, Pool
from adapters.webhooks.fairness import ReadyEndpoint
from subscription.business_calendar import KST
from subscription.event_documents import event_from_json
from subscription.event_messages import event_message
from subscription.state import State
from subscription.webhook_events import (
    PARKED_AFTER,
    CloudEvent,
    DeliveryState,
    EventPayload,
    cloud_event,
    endpoint_retry_delay,
    event_retry_delay,
    make_test_event,
    pause_of_slow_endpoint,
)

OUTBOX = Outbox("webhook_deliveries", has_leases=True)


@dataclass(frozen=True)
class Claimed:
    """A delivery that only the holder of `claim` may settle until the lease expires."""

    number: int
    claim: uuid.UUID
    endpoint_id: str
    subscription_id: str | None
    sequence: int | None
    queued_at: datetime
    url: str
    failures: int


async def ready_endpoints(pool: Pool) -> list[ReadyEndpoint]:
    """Return the enabled endpoints with due deliveries."""
    rows = await pool.fetch(
        f"""
        SELECT endpoint_id, customer_id, failures FROM webhook_endpoints AS endpoint
         WHERE removed_at IS NULL AND status = 'ENABLED'
           AND coalesce(paused_until, '-infinity') <= clock_timestamp()
           AND EXISTS (SELECT FROM webhook_deliveries AS delivery
                        WHERE delivery.endpoint_id = endpoint.endpoint_id AND {OUTBOX.due})
        """  # noqa: S608 - a constant
    )
    return [ReadyEndpoint(**dict(row)) for row in rows]


async def claim(pool: Pool, endpoint_id: str, *, limit: int, lease: timedelta) -> list[Claimed]:
    """Claim due deliveries in order of their due times, at most one for each subscription."""
    rows = await pool.fetch(
        f"""
        WITH due AS MATERIALIZED (
            SELECT number FROM webhook_deliveries AS delivery
             WHERE endpoint_id = $1 AND {OUTBOX.due}
               AND NOT EXISTS (SELECT FROM webhook_deliveries AS earlier
                                WHERE earlier.endpoint_id = $1 AND earlier.state = 'WAITING'
                                  AND earlier.subscription_id = delivery.subscription_id
                                  AND earlier.sequence < delivery.sequence)
             ORDER BY next_attempt_at, number LIMIT $2 FOR UPDATE SKIP LOCKED)
        UPDATE webhook_deliveries AS delivery SET claim = $3, claimed_until = clock_timestamp() + $4::interval
          FROM due, webhook_endpoints AS endpoint
         WHERE delivery.number = due.number AND endpoint.endpoint_id = delivery.endpoint_id
           AND removed_at IS NULL AND status = 'ENABLED'
           AND coalesce(paused_until, '-infinity') <= clock_timestamp()
        RETURNING delivery.number, claim, delivery.endpoint_id, subscription_id, sequence, queued_at, url,
                  failures
        """,  # noqa: S608 - a constant
        endpoint_id,
        limit,
        uuid.uuid4(),
        lease,
    )
    return [Claimed(**dict(row)) for row in rows]


async def release(pool: Pool, deliveries: list[Claimed]) -> None:
    """Release claims, so that other processes need not wait until the leases expire."""
    await pool.execute(
        """
        UPDATE webhook_deliveries SET claim = NULL, claimed_until = NULL
         WHERE number = ANY ($1) AND claim = ANY ($2)
        """,
        [delivery.number for delivery in deliveries],
        [delivery.claim for delivery in deliveries],
    )


async def contents(pool: Pool, delivery: Claimed) -> tuple[CloudEvent, tuple[str, ...]]:
    """Return the event of a delivery, and the valid signing secrets, newest first."""
    async with pool.acquire() as connection:
        secrets = await _secrets(connection, delivery.endpoint_id)
        if delivery.subscription_id is None or delivery.sequence is None:
            return make_test_event(delivery.number, delivery.queued_at), secrets
        return await _event(connection, delivery.subscription_id, delivery.sequence), secrets


async def mark_delivered(pool: Pool, delivery: Claimed, *, slow: bool) -> None:
    """Settle a delivery. A slow endpoint is paused, like an endpoint that failed."""
    async with pool.acquire() as connection, connection.transaction():
        held = await OUTBOX.complete(
            connection, delivery.number, DeliveryState.DELIVERED, lease=delivery.claim
        )
        if held and slow:
            await _pause(connection, delivery, pause_of_slow_endpoint(delivery.failures + 1))
        elif held and delivery.failures:
            await connection.execute(
                "UPDATE webhook_endpoints SET failures = 0, paused_until = NULL WHERE endpoint_id = $1",
                delivery.endpoint_id,
            )


async def reschedule(
    pool: Pool, delivery: Claimed, reason: str, retry_after: timedelta = timedelta()
) -> None:
    """Schedule a retry of an event that its endpoint has rejected, with exponential backoff.

    Later events of the same subscription wait; events of other subscriptions do not.
    """
    async with pool.acquire() as connection, connection.transaction():
        await _record_failure(
            connection, delivery, reason, lambda attempts: max(retry_after, event_retry_delay(attempts))
        )


async def pause_endpoint(
    pool: Pool, delivery: Claimed, reason: str, retry_after: timedelta = timedelta()
) -> None:
    """Pause an unavailable endpoint, with exponential backoff, and park deliveries that are too old."""
    pause = max(retry_after, endpoint_retry_delay(delivery.failures + 1))
    async with pool.acquire() as connection, connection.transaction():
        if not await _record_failure(connection, delivery, reason, lambda attempts: pause):
            return
        await _pause(connection, delivery, pause)
        await OUTBOX.close(
            connection,
            DeliveryState.PARKED,
            reason,
            f"""
            number IN (SELECT number FROM webhook_deliveries
                        WHERE endpoint_id = $3 AND state = 'WAITING' AND {UNCLAIMED}
                          AND queued_at < clock_timestamp() - $4::interval FOR UPDATE SKIP LOCKED)
            """,  # noqa: S608 - a constant
            delivery.endpoint_id,
            PARKED_AFTER,
        )


async def disable(pool: Pool, delivery: Claimed, reason: str) -> None:
    """Disable an endpoint that answered 410 Gone, and park its waiting deliveries.

    No further events are queued or sent for it.
    """
    async with pool.acquire() as connection, connection.transaction():
        if not await _record_failure(connection, delivery, reason, lambda attempts: timedelta()):
            return
        await connection.execute(
            "UPDATE webhook_endpoints SET status = 'DISABLED', status_reason = $2 WHERE endpoint_id = $1",
            delivery.endpoint_id,
            reason,
        )
        await park_all(connection, delivery.endpoint_id, reason)


async def _pause(connection: Connection, delivery: Claimed, pause: timedelta) -> None:
    """Pause the endpoint. Concurrent failed calls count as one failure."""
    await connection.execute(
        """
        UPDATE webhook_endpoints SET failures = failures + 1, paused_until = clock_timestamp() + $2::interval
         WHERE endpoint_id = $1 AND failures = $3
        """,
        delivery.endpoint_id,
        pause,
        delivery.failures,
    )


async def park_all(connection: Connection, endpoint_id: str, reason: str) -> None:
    """Park the waiting deliveries of an endpoint, because no more deliveries are sent to it."""
    await OUTBOX.close(connection, DeliveryState.PARKED, reason, "endpoint_id = $3", endpoint_id)


async def _record_failure(
    connection: Connection, delivery: Claimed, reason: str, pause: Callable[[int], timedelta]
) -> bool:
    """Schedule a retry after the pause for this number of attempts, or park a delivery that is too old.

    The attempts and the age are read now, not at the claim: a replay during the call has reset both.
    Return False if the claim was lost.
    """
    number, lease = delivery.number, delivery.claim
    row = await connection.fetchrow(
        """
        SELECT attempts, queued_at < clock_timestamp() - $3::interval AS is_too_old
          FROM webhook_deliveries WHERE number = $1 AND claim = $2 FOR UPDATE
        """,
        number,
        lease,
        PARKED_AFTER,
    )
    if row is None:
        return False
    if row["is_too_old"]:
        return await OUTBOX.give_up(connection, number, reason, DeliveryState.PARKED, lease=lease)
    return await OUTBOX.retry(connection, number, reason, pause(row["attempts"] + 1), lease=lease)


async def _event(connection: Connection, subscription_id: str, sequence: int) -> CloudEvent:
    row = await connection.fetchrow(
        """
        SELECT customer_id, event, lifecycle_events.state, effective_at, detail
          FROM lifecycle_events JOIN subscriptions USING (subscription_id)
         WHERE subscription_id = $1 AND lifecycle_events.sequence = $2
        """,
        subscription_id,
        sequence,
    )
    assert row is not None
    event, at = event_from_json(subscription_id, row["detail"]), row["effective_at"]
    return cloud_event(
        EventPayload(
            subscription_id=subscription_id,
            customer_id=row["customer_id"],
            sequence=sequence,
            event=row["event"],
            state=State(row["state"]),
            message=event_message(event),
            ledger=event.lines,
        ),
        at.astimezone(KST),
    )


async def _secrets(connection: Connection, endpoint_id: str) -> tuple[str, ...]:
    rows = await connection.fetch(
        """
        SELECT secret FROM webhook_secrets
         WHERE endpoint_id = $1 AND (expires_at IS NULL OR expires_at > clock_timestamp())
         ORDER BY created_at DESC
        """,
        endpoint_id,
    )
    return tuple(row["secret"] for row in rows)
