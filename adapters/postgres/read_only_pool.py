"""Read-only pool: values that PostgreSQL cannot store match nothing."""

from typing import Any

import asyncpg

from adapters.postgres.pool import Pool
from subscription.validation import is_storable

_BIGINT = range(-(2**63), 2**63)


class ReadOnlyPool:
    """A pool to read from. A question with a value that PostgreSQL cannot hold finds nothing."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def fetch(self, question: str, *values: object) -> list[asyncpg.Record]:
        return await self._pool.fetch(question, *values) if _all_can_be_held(values) else []

    async def fetchrow(self, question: str, *values: object) -> asyncpg.Record | None:
        return await self._pool.fetchrow(question, *values) if _all_can_be_held(values) else None

    async def fetchval(self, question: str, *values: object) -> Any:
        return await self._pool.fetchval(question, *values) if _all_can_be_held(values) else None


def _all_can_be_held(values: tuple[object, ...]) -> bool:
    return all(map(_can_be_held, values))


def _can_be_held(value: object) -> bool:
    match value:
        case str():
            return is_storable(value)
        case int():
            return value in _BIGINT
    return True
