"""Read-only pool: values that PostgreSQL cannot store match nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from adapters.postgres.pool import Connection, Pool
from subscription.validation import is_storable

_BIGINT = range(-(2**63), 2**63)


class ReadOnlyPool:
    """Pool for queries. A query with a parameter that PostgreSQL cannot store returns no rows.

    Such parameters are strings with NUL characters, integers outside the range of bigint, and lists of them.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def fetch(self, query: str, *values: object) -> list[asyncpg.Record]:
        return await self._pool.fetch(query, *values) if _all_storable(values) else []

    async def fetchrow(self, query: str, *values: object) -> asyncpg.Record | None:
        return await self._pool.fetchrow(query, *values) if _all_storable(values) else None

    async def fetchval(self, query: str, *values: object) -> Any:
        return await self._pool.fetchval(query, *values) if _all_storable(values) else None

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """Open a read-only transaction, in which all queries see the same data."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection


Reader = Connection | Pool | ReadOnlyPool


def _all_storable(values: tuple[object, ...]) -> bool:
    return all(map(_is_storable, values))


def _is_storable(value: object) -> bool:
    match value:
        case str():
            return is_storable(value)
        case int():
            return value in _BIGINT
        case list():
            return all(map(_is_storable, value))
    return True
