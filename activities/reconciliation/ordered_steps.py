"""Concurrent steps with results in order: a pipeline whose progress is always that of its first part."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Iterator
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")


async def run_in_order(steps: Iterator[Coroutine[Any, Any, T]], at_once: int) -> AsyncGenerator[T]:
    """Run the steps concurrently, at most `at_once`, and yield their results in order.

    The first failure in order cancels the steps that are still running, and is raised when they have ended.
    """
    running = deque(asyncio.create_task(step) for step in islice(steps, at_once))
    try:
        while running:
            yield await running[0]
            running.popleft()
            running.extend(asyncio.create_task(step) for step in islice(steps, 1))
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
