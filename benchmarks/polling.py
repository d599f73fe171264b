"""Waiting for what other processes do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.005, 0.5

T = TypeVar("T")


async def until(ask: Callable[[], Awaitable[T | None]]) -> T:
    """The first answer that is not empty.

    It is asked for ever more seldom, for each question takes some of a server's time from the workers.
    """
    pause = _FIRST_PAUSE_SECONDS
    while not (answer := await ask()):
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
    return answer
