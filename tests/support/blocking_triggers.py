"""Triggers that block a transaction in the middle, so that a test can kill the process then."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from .polling import wait_for
from .service_env import ServiceEnv

_TABLES = (
    "lifecycle_events",
    "erasure_certificates",
    "workspaces",
    "account_names",
    "administrators",
    "companies",
    "domain_tokens",
    "event_private_data",
    "bulk_items",
)

# A key has the table, the operation, and the row: the event or part, and the subscription.
_TRIGGER = """
CREATE FUNCTION stop_if_held() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE it jsonb := CASE TG_OP WHEN 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended(concat_ws(
        '/', TG_TABLE_NAME, TG_OP, coalesce(it ->> 'event', it ->> 'part'), it ->> 'subscription_id'), 0));
    RETURN NULL;
END
$$;
"""


class BlockingTriggers:
    """Blocked operations, by keys like `account_names/DELETE/ID` or `lifecycle_events/INSERT/ERASED/ID`."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def hold(self, key: str) -> None:
        """Block each transaction after this operation from now on."""
        await self._connection.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", key)

    async def has_stopped(self, key: str) -> None:
        """Wait until a transaction has executed the operation and is blocked."""

        async def waits() -> bool:
            return bool(
                await self._connection.fetchval(
                    """
                    SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                        AND (classid::bigint << 32 | objid::bigint) = hashtextextended($1, 0))
                    """,
                    key,
                )
            )

        await wait_for(f"{key} has stopped", waits)

    async def let_go(self, key: str | None = None) -> None:
        """Release the transactions that are blocked at this key, or at any key.

        The server then detects the clients that were killed, and rolls back their transactions.
        """
        if key:
            await self._connection.execute("SELECT pg_advisory_unlock(hashtextextended($1, 0))", key)
        else:
            await self._connection.execute("SELECT pg_advisory_unlock_all()")


@asynccontextmanager
async def holds_in(service_env: ServiceEnv) -> AsyncIterator[BlockingTriggers]:
    """Install triggers for the test in the service environment's database."""
    connection = await asyncpg.connect(service_env.database_url)
    try:
        await connection.execute(_TRIGGER)
        for table in _TABLES:
            await connection.execute(
                f"CREATE TRIGGER stop_if_held AFTER INSERT OR DELETE ON {table}"
                " FOR EACH ROW EXECUTE FUNCTION stop_if_held()"
            )
        yield BlockingTriggers(connection)
    finally:
        await connection.close()
