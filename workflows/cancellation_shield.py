"""Shield of the main coroutine against Temporal's own cancellation requests."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def run_shielded(main: Coroutine[Any, Any, T], on_cancel_request: Callable[[], None]) -> T:
    """Return the result of `main`. A cancellation request calls `on_cancel_request`, not cancels `main`."""
    task = asyncio.ensure_future(main)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():  # the worker evicts the workflow from its cache
                raise
            on_cancel_request()
