"""The rate limit of keys and strangers: counted first, so that a burst does not pass it."""

import asyncio

from starter.api.rates import Rates


async def test_of_many_at_once_as_many_pass_as_the_limit_has() -> None:
    rates = Rates("7/minute", "3/minute")
    quotas = await asyncio.gather(*(rates.key("a") for _ in range(50)))
    assert [quota.wait for quota in quotas].count(None) == 7
    assert (await rates.key("b")).wait is None
    strangers = await asyncio.gather(*(rates.stranger("a") for _ in range(50)))
    assert [quota.wait for quota in strangers].count(None) == 3
