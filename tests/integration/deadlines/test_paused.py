"""A subscription whose workflow an operator has paused."""

import asyncio
from datetime import datetime, timedelta

import pytest
from support.paused_workflows import paused
from support.polling import PATIENCE_SECONDS
from support.service_env import ServiceEnv, unique_name
from temporalio.service import RPCError

from adapters.temporal.rpc_errors import is_paused


async def test_the_clock_of_a_paused_subscription_is_not_moved(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested()
    target = await subscription.clock.now() + timedelta(days=3)
    async with paused(service_env.temporal, subscription.id):
        with pytest.raises(RPCError) as failure:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await subscription.clock.advance_to(target)
        assert is_paused(failure.value)
    await subscription.advance_clock_to(target)


async def test_clock_move_ends_when_subscription_is_paused(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested(account={"domain": f"{unique_name('acme')}.co.kr"})
    await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="ANNUAL")
    begun = asyncio.Event()

    def on_progress(now: datetime) -> None:
        begun.set()

    # Each of these days has a domain check, so the clock is still moving when the pause begins.
    target = await subscription.clock.now() + timedelta(days=3_000)
    moving = asyncio.create_task(subscription.clock.advance_to(target, on_progress))
    await begun.wait()
    async with paused(service_env.temporal, subscription.id):
        with pytest.raises(RPCError) as failure:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await moving
        assert is_paused(failure.value)
    # Otherwise the workflow would skip through thousands of days during the other tests.
    await subscription.handle.terminate("the test is over")
