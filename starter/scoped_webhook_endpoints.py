"""Authorization: webhook endpoints restricted to one customer, or unrestricted for operators."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from adapters.postgres.pool import Pool
from starter.caller import Caller
from starter.webhook_endpoints import Endpoint, EndpointNotFoundError, WebhookEndpointStore
from subscription.model import Frozen
from subscription.refusals import RefusalCode, refusal

MOST_ENDPOINTS = 20
"""Limit of webhook endpoints per customer."""

T = TypeVar("T", bound=Frozen)


class TooManyEndpointsError(Exception):
    """The customer has reached the limit of webhook endpoints."""


class ScopedWebhookEndpoints:
    """`WebhookEndpointStore` with authorization for one caller.

    Endpoints of other customers raise `EndpointNotFoundError`. `pool` uses the role `worksub_api`.
    """

    def __init__(self, pool: Pool, caller: Caller) -> None:
        self._pool = pool
        self._caller = caller
        self.reading = WebhookEndpointStore(pool)

    async def endpoints(self) -> list[Endpoint]:
        return await self.reading.list(self._caller.customer_id)

    async def endpoint(self, endpoint_id: str) -> Endpoint:
        for endpoint in await self.reading.list(self._caller.customer_id):
            if endpoint.endpoint_id == endpoint_id:
                return endpoint
        raise EndpointNotFoundError

    async def write(
        self,
        key: str,
        body: Mapping[str, Any],
        answer_type: type[T],
        change: Callable[[WebhookEndpointStore], Awaitable[T]],
        *,
        endpoint_id: str | None = None,
        secrets: frozenset[str] = frozenset(),
    ) -> tuple[T, bool]:
        """Execute a change once per idempotency key; return its answer and whether it is a repetition.

        The change and its idempotency key are written in one transaction. Only the first answer contains the
        `secrets` fields. They are not stored with the answer.
        """
        if endpoint_id is not None:
            await self.endpoint(endpoint_id)
        caller = self._caller.customer_id or ""
        fingerprint = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        async with self._pool.acquire() as connection, connection.transaction():
            # Concurrent requests with the same idempotency key serialize on this unique key.
            is_new = await connection.fetchval(
                """
                INSERT INTO api_writes (caller, key, fingerprint) VALUES ($1, $2, $3)
                ON CONFLICT DO NOTHING RETURNING true
                """,
                caller,
                key,
                fingerprint,
            )
            if not is_new:
                earlier = await connection.fetchrow(
                    "SELECT fingerprint, answer FROM api_writes WHERE caller = $1 AND key = $2", caller, key
                )
                assert earlier is not None
                if earlier["fingerprint"] != fingerprint:
                    raise refusal(RefusalCode.COMMAND_ID_REUSED, "id")
                return answer_type.model_validate_json(earlier["answer"]), True
            answer = await change(WebhookEndpointStore(connection))
            await connection.execute(
                "UPDATE api_writes SET answer = $3 WHERE caller = $1 AND key = $2",
                caller,
                key,
                answer.model_copy(update=dict.fromkeys(secrets)).model_dump_json(),
            )
            return answer, False

    async def check_number(self, webhooks: WebhookEndpointStore, customer_id: str | None) -> None:
        """Raise `TooManyEndpointsError` at the limit. Concurrent checks serialize on a table lock."""
        if customer_id is not None and await webhooks.count_locked(customer_id) >= MOST_ENDPOINTS:
            raise TooManyEndpointsError
