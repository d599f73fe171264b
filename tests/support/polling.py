"""Polling with a timeout, and concurrent execution."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 120.0
"""The longest wait for something that takes a second on a quiet machine."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.3


async def wait_for(what: str, ask: Callable[[], Awaitable[T]], *, seconds: float = PATIENCE_SECONDS) -> T:
    """Return the first true result of `ask`; raise AssertionError with `what` after the timeout."""
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        answer = await ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}; the last answer: {answer!r}"
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


async def gather_all(tasks: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all tasks concurrently and return their results; if one fails, cancel the others and raise."""
    try:
        async with asyncio.TaskGroup() as group:
            started = [group.create_task(task) for task in tasks]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in started]


async def run_cases(cases: Mapping[str, Coroutine[Any, Any, None]]) -> None:
    """Run all cases concurrently; raise AssertionError with the failed cases and the reasons."""
    results = await asyncio.gather(*cases.values(), return_exceptions=True)
    failures = [
        f"{what}: {result!r}"
        for what, result in zip(cases, results, strict=True)
        if isinstance(result, BaseException)
    ]
    assert not failures, "\n\n".join(failures)
