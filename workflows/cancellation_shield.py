"""Shield of the main coroutine against Temporal's own cancellation requests."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def run_shielded(life: Coroutine[Any, Any, T], on_request: Callable[[], None]) -> T:
    """What the life comes to. A request to cancel the workflow does not reach it, but `on_request`."""
    living = asyncio.ensure_future(life)
    while True:
        try:
            return await asyncio.shield(living)
        except asyncio.CancelledError:
            if living.cancelled():  # the worker drops the workflow from its memory
                raise
            on_request()
