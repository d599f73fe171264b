"""The rate limit of keys and strangers: counted first, so that a burst does not pass it."""

import asyncio

from starter.api.rates import Rates


async def test_of_many_at_once_as_many_pass_as_the_limit_has() -> None:
    rates = Rates("7/minute", "3/minute")
    waits = await asyncio.gather(*(rates.key("a") for _ in range(50)))
    assert waits.count(None) == 7
    assert await rates.key("b") is None
    assert (await asyncio.gather(*(rates.stranger("a") for _ in range(50)))).count(None) == 3
