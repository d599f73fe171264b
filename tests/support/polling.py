"""Waiting for something to become true, for a while and no longer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.3


async def wait_for(what: str, ask: Callable[[], Awaitable[T]], *, seconds: float = 60.0) -> T:
    """The first true answer to `ask`; an AssertionError that says what did not happen."""
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        answer = await ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}; the last answer: {answer!r}"
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


async def gather_all(tasks: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all of them, run at once; if one fails, the others are stopped before it is told."""
    try:
        async with asyncio.TaskGroup() as group:
            started = [group.create_task(task) for task in tasks]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in started]


async def run_cases(cases: Mapping[str, Coroutine[Any, Any, None]]) -> None:
    """Run all cases at once; an AssertionError that says which ones failed, and why."""
    results = await asyncio.gather(*cases.values(), return_exceptions=True)
    failures = [
        f"{what}: {result!r}"
        for what, result in zip(cases, results, strict=True)
        if isinstance(result, BaseException)
    ]
    assert not failures, "\n\n".join(failures)
