"""Rate limits per API key and per unauthenticated address, with the values of their response headers."""

import math
import time
from dataclasses import dataclass

from entrypoints.http.rate_limits import RateLimit


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
        self._per_key = RateLimit(per_key)
        self._unauthenticated = RateLimit(unauthenticated)

    async def key(self, prefix: str) -> Quota:
        """Count a request with the API key of this prefix."""
        return await _count(self._per_key, "key", prefix)

    async def unauthenticated(self, address: str) -> Quota:
        """Count a request without a valid key."""
        return await _count(self._unauthenticated, "address", address)


async def _count(limit: RateLimit, policy: str, identity: str) -> Quota:
    allowed = await limit.hit(identity)
    window = await limit.stats(identity)
    reset = max(1, math.ceil(window.reset_time - time.time()))
    return Quota(
        policy=f'"{policy}";q={limit.amount};w={limit.window_seconds}',
        left=f'"{policy}";r={max(0, window.remaining)};t={reset}',
        wait=None if allowed else reset,
    )
