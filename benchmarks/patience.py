"""Waiting for what other processes do."""

import asyncio
from collections.abc import Awaitable, Callable

_LOOK_SECONDS = 0.1


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return once it holds, looked at ten times a second."""
    while True:
        if await holds():
            return
        await asyncio.sleep(_LOOK_SECONDS)
