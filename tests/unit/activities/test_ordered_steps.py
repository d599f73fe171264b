"""Concurrent steps: results in order, the limit, and the end of the others after a failure."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from activities.reconciliation.ordered_steps import run_in_order


async def results_of(steps: Iterator[Coroutine[Any, Any, int]]) -> list[int]:
    async with aclosing(run_in_order(steps, at_once=2)) as results:
        return [result async for result in results]


async def test_steps_overlap_up_to_the_limit_and_yield_in_order() -> None:
    running: set[int] = set()
    overlaps = []
    second_has_ended = asyncio.Event()

    async def step(number: int) -> int:
        running.add(number)
        overlaps.append(len(running))
        if number == 0:  # The first step ends after the second one.
            await second_has_ended.wait()
        await asyncio.sleep(0)
        if number == 1:
            second_has_ended.set()
        running.remove(number)
        return number

    assert await results_of(step(number) for number in range(5)) == [0, 1, 2, 3, 4]
    assert max(overlaps) == 2


async def test_failed_step_ends_the_running_ones_and_starts_no_other() -> None:
    begun, ended = [], []
    second_has_begun = asyncio.Event()

    async def step(number: int) -> int:
        begun.append(number)
        try:
            if number == 0:
                await second_has_begun.wait()
                raise ValueError("the first step failed")
            second_has_begun.set()
            await asyncio.Event().wait()
            return number
        finally:
            ended.append(number)

    with pytest.raises(ValueError, match="the first step failed"):
        await results_of(step(number) for number in range(4))
    assert (begun, ended) == ([0, 1], [0, 1])
