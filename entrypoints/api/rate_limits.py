"""Rate limits per API key and per unauthenticated address: moving windows in process memory.

Each process counts separately, so the effective limit of a key is multiplied by the number of processes.
This avoids a database write per request, and still stops a runaway client.
"""

import math
import time
from dataclasses import dataclass

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter


@dataclass(frozen=True)
class Quota:
    """State of a rate limit after it has counted a request. `wait` is None if the request is allowed.

    `policy` and `left` are values of the headers `RateLimit-Policy` and `RateLimit`
    (draft-ietf-httpapi-ratelimit-headers).
    """

    policy: str
    left: str
    wait: int | None


class RateLimits:
    """Rate limits in the notation `600/minute`: per API key, and per address without a valid key."""

    def __init__(self, per_key: str = "600/minute", unauthenticated: str = "60/minute") -> None:
        self._per_key = parse(per_key)
        self._unauthenticated = parse(unauthenticated)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def key(self, prefix: str) -> Quota:
        """Count a request with the API key of this prefix."""
        return await self._count(self._per_key, "key", prefix)

    async def unauthenticated(self, address: str) -> Quota:
        """Count a request without a valid key."""
        return await self._count(self._unauthenticated, "address", address)

    async def _count(self, limit: RateLimitItem, name: str, identity: str) -> Quota:
        allowed = await self._limiter.hit(limit, name, identity)
        window = await self._limiter.get_window_stats(limit, name, identity)
        reset = max(1, math.ceil(window.reset_time - time.time()))
        return Quota(
            policy=f'"{name}";q={limit.amount};w={limit.get_expiry()}',
            left=f'"{name}";r={max(0, window.remaining)};t={reset}',
            wait=None if allowed else reset,
        )
