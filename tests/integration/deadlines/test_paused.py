"""A subscription whose workflow an operator has paused."""

import asyncio
from datetime import datetime, timedelta

import pytest
from support.paused_workflows import paused
from support.service_env import ServiceEnv, unique_name
from temporalio.service import RPCError

from adapters.temporal.rpc_errors import is_paused


async def test_the_clock_of_a_paused_subscription_is_not_moved(house: ServiceEnv) -> None:
    life = await house.requested()
    target = await life.clock.now() + timedelta(days=3)
    async with paused(house.temporal, life.id):
        with pytest.raises(RPCError) as failure:
            async with asyncio.timeout(60):
                await life.clock.advance_to(target)
        assert is_paused(failure.value)
    await life.sleeps_until(target)


async def test_a_clock_that_moves_ends_when_the_subscription_is_paused(house: ServiceEnv) -> None:
    life = await house.requested(account={"domain": f"{unique_name('acme')}.co.kr"})
    await life.asks("switch_to_paid", date=f"{await life.today()}", term="ANNUAL")
    begun = asyncio.Event()

    def on_progress(now: datetime) -> None:
        begun.set()

    # Each of these days has a check of the domain, so the clock is on its way when the pause begins.
    target = await life.clock.now() + timedelta(days=3_000)
    moving = asyncio.create_task(life.clock.advance_to(target, on_progress))
    await begun.wait()
    async with paused(house.temporal, life.id):
        with pytest.raises(RPCError) as failure:
            async with asyncio.timeout(60):
                await moving
        assert is_paused(failure.value)
