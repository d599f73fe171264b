"""Rate limits in the notation of `limits`, such as `600/minute`, counted in process memory.

Each process counts separately, so the effective limit is multiplied by the number of processes. This avoids a
database write per request, and still stops a runaway client.
"""

from limits import WindowStats, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter


class RateLimit:
    """Limit of each name's requests, in a moving window."""

    def __init__(self, limit: str) -> None:
        self._limit = parse(limit)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    @property
    def amount(self) -> int:
        return self._limit.amount

    @property
    def window_seconds(self) -> int:
        return self._limit.get_expiry()

    async def hit(self, name: str) -> bool:
        """Count a request and return True, or return False if the limit is exceeded."""
        return await self._limiter.hit(self._limit, name)

    async def stats(self, name: str) -> WindowStats:
        """Return the number of remaining requests, and the time at which the window resets."""
        return await self._limiter.get_window_stats(self._limit, name)


class FailureLimit:
    """Limit of each name's failed attempts, in a fixed window.

    An attempt is counted before its result is known, and the count is undone if the attempt succeeds.
    Otherwise a burst of concurrent attempts would pass the limit.
    """

    def __init__(self, limit: str) -> None:
        self._limit = parse(limit)
        self._storage = MemoryStorage()
        self._limiter = FixedWindowRateLimiter(self._storage)

    async def hit(self, name: str) -> bool:
        """Count an attempt and return True, or return False if the limit is exceeded."""
        allowed = await self._limiter.hit(self._limit, name)
        if not allowed:
            await self.undo(name)
        return allowed

    async def undo(self, name: str) -> None:
        """Undo the count of one attempt."""
        await self._storage.decr(self._limit.key_for(name))
