"""Pool that records its statements, for tests that hold their number."""

from typing import Any

from adapters.postgres.pool import Pool


class RecordingPool:
    """Pool that executes every statement and keeps its text. It offers only single statements."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.statements: list[str] = []

    async def fetch(self, query: str, *values: object) -> Any:
        self.statements.append(query)
        return await self._pool.fetch(query, *values)

    async def fetchrow(self, query: str, *values: object) -> Any:
        self.statements.append(query)
        return await self._pool.fetchrow(query, *values)

    async def fetchval(self, query: str, *values: object) -> Any:
        self.statements.append(query)
        return await self._pool.fetchval(query, *values)
