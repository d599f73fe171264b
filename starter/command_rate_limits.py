"""Rate limits per command and subscription: moving windows in process memory.

Each command has its own window, so that a flood of one command never blocks a cancellation.
"""

import math
import time

from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

_EACH_COMMAND = "60/minute"


class TooManyCommandsError(Exception):
    """The rate limit is exceeded and the command was not sent; retry after `wait` seconds."""

    def __init__(self, wait: int) -> None:
        super().__init__(f"rate limit of this command exceeded for this subscription; retry after {wait} s")
        self.wait = wait


class CommandRates:
    """Rate limiter. `each_command` is the limit per subscription and command, such as `60/minute`."""

    def __init__(self, each_command: str = _EACH_COMMAND) -> None:
        self._limit = parse(each_command)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def count(self, subscription_id: str, command: str) -> None:
        """Count a command before sending it; raises `TooManyCommandsError`."""
        if await self._limiter.hit(self._limit, subscription_id, command):
            return
        window = await self._limiter.get_window_stats(self._limit, subscription_id, command)
        raise TooManyCommandsError(max(1, math.ceil(window.reset_time - time.time())))
