"""How much one caller may ask: a moving window for each key, in this process's memory.

Several processes each count for themselves, so a key may ask as many times more as there are of them. That
keeps a request free of a write, and is enough against a caller that has run wild.
"""

import math
import time

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter


class Rates:
    """`each_key` and `strangers` are as in `600/minute`; strangers are counted by their address."""

    def __init__(self, each_key: str = "600/minute", strangers: str = "60/minute") -> None:
        self._each_key = parse(each_key)
        self._strangers = parse(strangers)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def key(self, prefix: str) -> int | None:
        """Count a request; None if it may go on, or else in how many seconds there may be another."""
        return await self._count(self._each_key, "key", prefix)

    async def stranger(self, address: str) -> int | None:
        """Count a request without a key that opens anything."""
        return await self._count(self._strangers, "stranger", address)

    async def _count(self, limit: RateLimitItem, *whose: str) -> int | None:
        if await self._limiter.hit(limit, *whose):
            return None
        window = await self._limiter.get_window_stats(limit, *whose)
        return max(1, math.ceil(window.reset_time - time.time()))
