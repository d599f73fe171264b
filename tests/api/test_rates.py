"""Limits of the API under bursts: each request is counted before it is executed."""

import asyncio
from collections import Counter

from support.api_client import ApiServer

from entrypoints.api.rate_limits import RateLimits


async def test_concurrent_requests_respect_the_rate_limit() -> None:
    rates = RateLimits("7/minute", "3/minute")
    quotas = await asyncio.gather(*(rates.key("a") for _ in range(50)))
    assert [quota.wait for quota in quotas].count(None) == 7
    assert (await rates.key("b")).wait is None
    strangers = await asyncio.gather(*(rates.unauthenticated("a") for _ in range(50)))
    assert [quota.wait for quota in strangers].count(None) == 3


async def test_concurrent_endpoint_creation_respects_the_limit(
    api_server: ApiServer,
) -> None:
    visitor = await api_server.visitor("C-endpoints")

    async def add(number: int) -> int:
        answer = await visitor.http.post(
            "/v1/webhook-endpoints",
            json={"url": f"https://hooks.example/{number}"},
            headers={"Idempotency-Key": f"endpoint-{number}"},
        )
        return answer.status_code

    answers = Counter(await asyncio.gather(*(add(number) for number in range(35))))
    assert answers == {201: 20, 409: 15}
