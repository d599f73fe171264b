"""Rate limits per API key and per unauthenticated address: moving windows in process memory.

Several processes each count for themselves, so a key may ask as many times more as there are of them. That
keeps a request free of a write, and is enough against a caller that has run wild.
"""

import math
import time
from dataclasses import dataclass

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter


@dataclass(frozen=True)
class Quota:
    """The state of one limit after a request was counted. `wait` is None if the request may go on.

    `policy` and `left` are values of the headers `RateLimit-Policy` and `RateLimit`
    (draft-ietf-httpapi-ratelimit-headers).
    """

    policy: str
    left: str
    wait: int | None


class RateLimits:
    """`each_key` and `strangers` are as in `600/minute`; strangers are counted by their address."""

    def __init__(self, each_key: str = "600/minute", strangers: str = "60/minute") -> None:
        self._each_key = parse(each_key)
        self._strangers = parse(strangers)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def key(self, prefix: str) -> Quota:
        """Count a request with this key."""
        return await self._count(self._each_key, "key", prefix)

    async def stranger(self, address: str) -> Quota:
        """Count a request without a key that is in force."""
        return await self._count(self._strangers, "address", address)

    async def _count(self, limit: RateLimitItem, name: str, whose: str) -> Quota:
        allowed = await self._limiter.hit(limit, name, whose)
        window = await self._limiter.get_window_stats(limit, name, whose)
        reset = max(1, math.ceil(window.reset_time - time.time()))
        return Quota(
            policy=f'"{name}";q={limit.amount};w={limit.get_expiry()}',
            left=f'"{name}";r={max(0, window.remaining)};t={reset}',
            wait=None if allowed else reset,
        )
