"""Rate limits per command and subscription: moving windows in process memory.

Each command has a window of its own, so that a flood of one never keeps a cancellation out.
"""

import math
import time

from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

_EACH_COMMAND = "60/minute"


class TooManyCommandsError(Exception):
    """Nothing was sent; the command may be sent again after `wait` seconds."""

    def __init__(self, wait: int) -> None:
        super().__init__(f"too many commands of one kind for one subscription; wait {wait} s")
        self.wait = wait


class CommandRates:
    """`each_command` is as in `60/minute`, for each subscription and command."""

    def __init__(self, each_command: str = _EACH_COMMAND) -> None:
        self._limit = parse(each_command)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def count(self, subscription_id: str, command: str) -> None:
        """Count a command before it is sent; raises `TooManyCommandsError`."""
        if await self._limiter.hit(self._limit, subscription_id, command):
            return
        window = await self._limiter.get_window_stats(self._limit, subscription_id, command)
        raise TooManyCommandsError(max(1, math.ceil(window.reset_time - time.time())))
