"""Login throttling (brute-force protection) by account and address, shared by all processes."""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import timedelta

from adapters.postgres.pool import Pool

MINUTES = 15
_MOST_BY_ADDRESS, _MOST_BY_BOTH, _MOST_BY_ACCOUNT = 30, 5, 50


class Throttle:
    """Count each attempt before the password is verified, and undo the count if the password was correct.

    Attempts on unknown accounts are counted as well, so a refusal does not reveal whether an account exists.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def count(self, account: str, address: str) -> timedelta | None:
        """Count an attempt and return None, or return the remaining wait if a limit is exceeded.

        An unknown account has the same limits, so the wait does not reveal whether an account exists.
        """
        await self._pool.execute(
            "DELETE FROM sign_in_attempts WHERE started_at < clock_timestamp() - make_interval(mins => $1)",
            MINUTES,
        )
        counted: list[bytes] = []
        for key, most in _limits(account, address):
            if not await self._count(key, most):
                await self._take_back(counted)
                return await self._wait(key)
            counted.append(key)
        return None

    async def uncount(self, account: str, address: str) -> None:
        """Undo the count of one attempt, because its password was correct."""
        await self._take_back([key for key, _ in _limits(account, address)])

    async def _count(self, key: bytes, most: int) -> bool:
        # One statement compares and increments, so concurrent attempts cannot exceed the limit.
        return bool(
            await self._pool.fetchval(
                """
                INSERT INTO sign_in_attempts AS counted (subject_hash) VALUES ($1)
                ON CONFLICT (subject_hash) DO UPDATE SET attempts = counted.attempts + 1
                 WHERE counted.attempts < $2 RETURNING true
                """,
                key,
                most,
            )
        )

    async def _wait(self, key: bytes) -> timedelta:
        """Return the time until the counter of this key is reset; at least one second."""
        left: timedelta | None = await self._pool.fetchval(
            "SELECT started_at + make_interval(mins => $2) - clock_timestamp()"
            "  FROM sign_in_attempts WHERE subject_hash = $1",
            key,
            MINUTES,
        )
        return max(left or timedelta(), timedelta(seconds=1))

    async def _take_back(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            await self._pool.execute(
                "UPDATE sign_in_attempts SET attempts = attempts - 1"
                " WHERE subject_hash = $1 AND attempts > 0",
                key,
            )


def _limits(account: str, address: str) -> Iterator[tuple[bytes, int]]:
    yield _hash("address", address), _MOST_BY_ADDRESS
    yield _hash("both", account, address), _MOST_BY_BOTH
    yield _hash("account", account), _MOST_BY_ACCOUNT


def _hash(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()
