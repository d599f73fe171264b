"""Polling for the effects of other processes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.005, 0.5

T = TypeVar("T")


async def wait_for(poll: Callable[[], Awaitable[T | None]]) -> T:
    """Poll until the result is not empty, and return it.

    The interval grows, because each query takes server time from the measured workers.
    """
    pause = _FIRST_PAUSE_SECONDS
    while not (result := await poll()):
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
    return result
