"""Deadlines long past: whose day has come by the real clock, and is not done, is asked before it is said."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from support.polling import wait_for
from support.reconcile_job import found, gets_attention
from support.service_env import ServiceEnv
from support.subscription_driver import SubscriptionDriver

from subscription.business_calendar import KST


async def overdue(house: ServiceEnv) -> SubscriptionDriver:
    """Its trial ended two hours ago by the real clock; by its own it has just begun."""
    began = datetime.now(KST) - timedelta(days=30, hours=2)
    return await house.requested(f"{began:%Y-%m-%d %H:%M}")


@asynccontextmanager
async def its_day_has_come(house: ServiceEnv, life: SubscriptionDriver) -> AsyncIterator[None]:
    """It is at it, but cannot record it yet: nothing fails, it takes its time."""
    async with house.owner.acquire() as connection, connection.transaction():
        await connection.execute("SELECT 1 FROM subscriptions WHERE subscription_id = $1 FOR UPDATE", life.id)
        passing = asyncio.create_task(
            life.clock.advance_to(await life.clock.now() + timedelta(days=30, hours=1, minutes=1))
        )
        await wait_for("it is at it", lambda: is_at_it(life))
        yield
    await passing


async def is_at_it(life: SubscriptionDriver) -> bool:
    return bool((await life.handle.describe()).raw_description.pending_activities)


async def test_what_is_not_due_by_its_own_clock_is_no_finding(office: ServiceEnv) -> None:
    life = await overdue(office)
    assert await found(office) == []
    assert await life.events() == ["TRIAL_STARTED"]


async def test_what_is_done_as_soon_as_it_is_asked_for_is_said_and_needs_nobody(office: ServiceEnv) -> None:
    life = await overdue(office)
    async with its_day_has_come(office, life):
        looking = asyncio.create_task(found(office))
        await wait_for("it is asked", lambda: is_asked_to_settle(life))
    [finding] = await looking
    assert (finding.code, finding.repaired) == ("DEADLINE_LONG_PAST", True)
    assert finding.message.startswith("TRIAL_END was due on ")
    assert await life.events() == ["TRIAL_STARTED", "TRIAL_ENDED"]
    assert await found(office) == []


async def is_asked_to_settle(life: SubscriptionDriver) -> bool:
    return any(
        event.workflow_execution_update_accepted_event_attributes.accepted_request.input.name == "settle"
        for event in await life.history()
    )


async def test_what_is_not_done_when_it_is_asked_for_is_left_to_somebody(office: ServiceEnv) -> None:
    life = await overdue(office)
    async with its_day_has_come(office, life):
        [finding] = await found(office)
    assert (finding.code, finding.repaired) == ("DEADLINE_LONG_PAST", False)
    await gets_attention(life)
    await life.client.settle(life.id)
    assert await found(office) == []
    await gets_attention(life, needed=False)
