"""Webhook endpoints: management of endpoints, secrets and deliveries."""

import base64
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from adapters.postgres.outbox import REQUEUE
from adapters.postgres.pool import Connection, Pool
from adapters.postgres.webhook_outbox import park_all
from subscription.business_calendar import Instant
from subscription.model import Frozen
from subscription.webhook_events import DeliveryState, EndpointStatus

_SECRET_BYTES = 32


class Endpoint(Frozen):
    """A webhook endpoint for the events of one customer, or of all customers if `customer_id` is None.

    `events` are the selected event types, None for all. `failures` counts consecutive failed and slow calls;
    after a failure nothing is sent until `paused_until`. `status_reason` is the reason why the service has
    disabled the endpoint.
    """

    endpoint_id: str
    customer_id: str | None
    url: str
    created_at: Instant
    events: tuple[str, ...] | None
    status: EndpointStatus
    status_reason: str | None
    failures: int
    paused_until: Instant | None
    waiting: int
    parked: int
    """Number of parked deliveries (dead letters), which are not retried automatically."""


class NewSecret(Frozen):
    """A new signing secret of an endpoint. It cannot be shown again."""

    endpoint_id: str
    secret: str


class Delivery(Frozen):
    """Delivery of an event to an endpoint; a test delivery has no event.

    `last_error` is a message of this service and contains no text of the endpoint.
    """

    number: int
    endpoint_id: str
    subscription_id: str | None
    sequence: int | None
    event: str | None
    state: DeliveryState
    attempts: int
    last_error: str | None
    queued_at: Instant
    next_attempt_at: Instant | None
    completed_at: Instant | None


class EndpointNotFoundError(Exception):
    """No endpoint has this ID."""


_DELIVERY = """
    SELECT number, endpoint_id, subscription_id, sequence, event, delivery.state, attempts, last_error,
           queued_at, completed_at,
           CASE WHEN delivery.state = 'WAITING' THEN next_attempt_at END AS next_attempt_at
      FROM webhook_deliveries AS delivery LEFT JOIN lifecycle_events USING (subscription_id, sequence)
"""


class WebhookEndpointStore:
    """Store of webhook endpoints on a pool, or on a connection within a transaction.

    The database role cannot read existing secrets.
    """

    def __init__(self, pool: Pool | Connection) -> None:
        self._pool = pool

    async def add(
        self, url: str, customer_id: str | None, *, events: Sequence[str] | None = None
    ) -> NewSecret:
        """Add an endpoint for future events. The caller has checked the URL against the URL policy (SSRF)."""
        endpoint_id = f"we_{secrets.token_hex(8)}"
        async with _in_transaction(self._pool) as connection:
            await connection.execute(
                """
                INSERT INTO webhook_endpoints (endpoint_id, customer_id, url, events) VALUES ($1, $2, $3, $4)
                """,
                endpoint_id,
                customer_id,
                url,
                events,
            )
            return await _new_secret(connection, endpoint_id)

    async def rotate(self, endpoint_id: str, overlap: timedelta) -> NewSecret:
        """Create a new signing secret; during `overlap`, requests are signed with both secrets."""
        async with _in_transaction(self._pool) as connection:
            # Lock the endpoint: a concurrent rotation would not see the new secret and would not expire it.
            await _lock(connection, endpoint_id)
            await connection.execute(
                """
                UPDATE webhook_secrets SET expires_at = least(expires_at, clock_timestamp() + $2::interval)
                 WHERE endpoint_id = $1
                """,
                endpoint_id,
                overlap,
            )
            return await _new_secret(connection, endpoint_id)

    async def set_status(self, endpoint_id: str, status: EndpointStatus) -> None:
        """Pause an endpoint, or enable it again with immediate effect."""
        exists = await self._pool.fetchval(
            """
            UPDATE webhook_endpoints SET status = $2, status_reason = NULL, failures = 0, paused_until = NULL
             WHERE endpoint_id = $1 AND removed_at IS NULL RETURNING true
            """,
            endpoint_id,
            status,
        )
        if not exists:
            raise EndpointNotFoundError

    async def remove(self, endpoint_id: str) -> None:
        """Remove an endpoint: park its waiting deliveries and delete its secrets."""
        async with _in_transaction(self._pool) as connection:
            exists = await connection.fetchval(
                """
                UPDATE webhook_endpoints SET removed_at = clock_timestamp()
                 WHERE endpoint_id = $1 AND removed_at IS NULL RETURNING true
                """,
                endpoint_id,
            )
            if not exists:
                raise EndpointNotFoundError
            await connection.execute("DELETE FROM webhook_secrets WHERE endpoint_id = $1", endpoint_id)
            await park_all(connection, endpoint_id, "the endpoint was removed")

    async def deliveries(
        self, endpoint_id: str, *, state: DeliveryState | None = None, after: int = 0, limit: int = 50
    ) -> list[Delivery]:
        """Return the deliveries after the number `after`, in the order of their creation."""
        await _check(self._pool, endpoint_id)
        rows = await self._pool.fetch(
            f"""
            {_DELIVERY}
             WHERE endpoint_id = $1 AND ($2::text IS NULL OR delivery.state = $2) AND number > $3
             ORDER BY number LIMIT $4
            """,
            endpoint_id,
            state,
            after,
            limit,
        )
        return [Delivery.model_validate(dict(row)) for row in rows]

    async def replay_parked(self, endpoint_id: str) -> int:
        """Retry all parked (dead-lettered) deliveries for another three days; return their number."""
        await _check(self._pool, endpoint_id)
        rows = await self._pool.fetch(
            f"""
            UPDATE webhook_deliveries SET {REQUEUE}
             WHERE endpoint_id = $1 AND state = 'PARKED' RETURNING 1
            """,  # noqa: S608 - a constant
            endpoint_id,
        )
        await self._unpause(endpoint_id)
        return len(rows)

    async def replay_subscription(self, endpoint_id: str, subscription_id: str, first: int = 1) -> int:
        """Deliver the events of a subscription from number `first` on again; return their number.

        Nothing is delivered if the endpoint does not receive events of this subscription.
        """
        await _check(self._pool, endpoint_id)
        rows = await self._pool.fetch(
            f"""
            INSERT INTO webhook_deliveries (endpoint_id, subscription_id, sequence)
            SELECT endpoint_id, subscription_id, event.sequence
              FROM lifecycle_events AS event
              JOIN subscriptions USING (subscription_id)
              JOIN webhook_endpoints AS endpoint
                ON endpoint.customer_id IS NULL OR endpoint.customer_id = subscriptions.customer_id
             WHERE endpoint_id = $1 AND subscription_id = $2 AND event.sequence >= $3
               AND (endpoint.events IS NULL OR event.event = ANY (endpoint.events))
            ON CONFLICT (endpoint_id, subscription_id, sequence) DO UPDATE SET {REQUEUE} RETURNING 1
            """,  # noqa: S608 - a constant
            endpoint_id,
            subscription_id,
            first,
        )
        await self._unpause(endpoint_id)
        return len(rows)

    async def test(self, endpoint_id: str) -> int:
        """Queue a test delivery and return its number."""
        await _check(self._pool, endpoint_id)
        number: int = await self._pool.fetchval(
            "INSERT INTO webhook_deliveries (endpoint_id) VALUES ($1) RETURNING number", endpoint_id
        )
        await self._unpause(endpoint_id)
        return number

    async def delivery(self, number: int) -> Delivery | None:
        row = await self._pool.fetchrow(f"{_DELIVERY} WHERE number = $1", number)
        return Delivery.model_validate(dict(row)) if row else None

    async def count_locked(self, customer_id: str) -> int:
        """Count a customer's endpoints under a lock that lasts until the transaction ends.

        The table lock requires the privilege to change the table. An advisory lock could be held by every
        login.
        """
        await self._pool.execute("LOCK TABLE webhook_endpoints IN SHARE ROW EXCLUSIVE MODE")
        count: int = await self._pool.fetchval(
            "SELECT count(*) FROM webhook_endpoints WHERE customer_id = $1 AND removed_at IS NULL",
            customer_id,
        )
        return count

    async def list(self, customer_id: str | None = None) -> list[Endpoint]:
        """Return all endpoints, or the endpoints of one customer."""
        rows = await self._pool.fetch(
            """
            SELECT endpoint_id, customer_id, url, created_at, events, status, status_reason, failures,
                   paused_until,
                   count(*) FILTER (WHERE state = 'WAITING') AS waiting,
                   count(*) FILTER (WHERE state = 'PARKED') AS parked
              FROM webhook_endpoints
              LEFT JOIN webhook_deliveries AS delivery USING (endpoint_id)
             WHERE removed_at IS NULL AND ($1::text IS NULL OR customer_id = $1)
             GROUP BY endpoint_id ORDER BY created_at, endpoint_id
            """,
            customer_id,
        )
        return [Endpoint.model_validate(dict(row)) for row in rows]

    async def _unpause(self, endpoint_id: str) -> None:
        """End the backoff of an endpoint, because the caller expects an immediate delivery."""
        await self._pool.execute(
            "UPDATE webhook_endpoints SET failures = 0, paused_until = NULL WHERE endpoint_id = $1",
            endpoint_id,
        )


@asynccontextmanager
async def _in_transaction(database: Pool | Connection) -> AsyncIterator[Connection]:
    if isinstance(database, Pool):
        async with database.acquire() as connection, connection.transaction():
            yield connection
    else:
        async with database.transaction():
            yield database


async def _check(connection: Connection | Pool, endpoint_id: str) -> None:
    """Raise `EndpointNotFoundError` if the endpoint does not exist."""
    if not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM webhook_endpoints WHERE endpoint_id = $1 AND removed_at IS NULL)",
        endpoint_id,
    ):
        raise EndpointNotFoundError


async def _lock(connection: Connection, endpoint_id: str) -> None:
    """Lock the endpoint's row until the transaction ends; raises `EndpointNotFoundError`."""
    exists = await connection.fetchval(
        """
        SELECT true FROM webhook_endpoints WHERE endpoint_id = $1 AND removed_at IS NULL FOR NO KEY UPDATE
        """,
        endpoint_id,
    )
    if not exists:
        raise EndpointNotFoundError


async def _new_secret(connection: Connection, endpoint_id: str) -> NewSecret:
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"
    await connection.execute(
        "INSERT INTO webhook_secrets (endpoint_id, secret) VALUES ($1, $2)", endpoint_id, secret
    )
    return NewSecret(endpoint_id=endpoint_id, secret=secret)
