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
"""A customer has so many at most."""

T = TypeVar("T", bound=Frozen)


class TooManyEndpointsError(Exception):
    """The customer has as many endpoints as a customer may have."""


class WebhookDesk:
    """`WebhookEndpointStore` for one caller. Raises `EndpointNotFoundError` for those of other customers.

    `pool` is in the role `worksub_api`.
    """

    def __init__(self, pool: Pool, caller: Caller) -> None:
        self._pool = pool
        self._caller = caller
        self.reading = WebhookEndpointStore(pool)

    async def endpoints(self) -> list[Endpoint]:
        return await self.reading.list(self._caller.customer_id)

    async def endpoint(self, endpoint_id: str) -> Endpoint:
        for each in await self.reading.list(self._caller.customer_id):
            if each.endpoint_id == endpoint_id:
                return each
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
        """Make a change once, and return its answer and whether it was made before.

        The change, and the note that it was made under this key, are one transaction. A secret is in the
        first answer alone; it is kept nowhere but where requests are signed.
        """
        if endpoint_id is not None:
            await self.endpoint(endpoint_id)
        caller = self._caller.customer_id or ""
        fingerprint = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        async with self._pool.acquire() as connection, connection.transaction():
            # A second request with the same key waits here until the first one is committed.
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
        """Raise `TooManyEndpointsError`; one transaction at a time counts the endpoints of a customer."""
        if customer_id is not None and await webhooks.count_locked(customer_id) >= MOST_ENDPOINTS:
            raise TooManyEndpointsError
