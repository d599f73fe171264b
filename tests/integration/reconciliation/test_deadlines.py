"""Overdue deadlines: `reconcile` requests their processing from the workflow before it reports them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from support.polling import wait_for
from support.reconcile_job import SHORT_TIMEOUT, found, gets_attention
from support.service_env import ServiceEnv
from support.subscription_driver import SubscriptionDriver

from subscription.business_calendar import KST


async def overdue(service_env: ServiceEnv) -> SubscriptionDriver:
    """Return a subscription whose trial ended two hours ago by the real clock, and just began by its own."""
    began = datetime.now(KST) - timedelta(days=30, hours=2)
    return await service_env.requested(f"{began:%Y-%m-%d %H:%M}")


@asynccontextmanager
async def deadline_reached(service_env: ServiceEnv, subscription: SubscriptionDriver) -> AsyncIterator[None]:
    """Move the clock to the deadline while the write is blocked: nothing fails, but it takes long."""
    async with service_env.owner.acquire() as connection, connection.transaction():
        await connection.execute(
            "SELECT 1 FROM subscriptions WHERE subscription_id = $1 FOR UPDATE", subscription.id
        )
        passing = asyncio.create_task(
            subscription.clock.advance_to(
                await subscription.clock.now() + timedelta(days=30, hours=1, minutes=1)
            )
        )
        await wait_for("the deadline is being recorded", lambda: is_recording(subscription))
        yield
    await passing


async def is_recording(subscription: SubscriptionDriver) -> bool:
    return bool((await subscription.handle.describe()).raw_description.pending_activities)


async def test_deadline_not_due_by_test_clock_is_no_finding(isolated_env: ServiceEnv) -> None:
    subscription = await overdue(isolated_env)
    assert await found(isolated_env) == []
    assert await subscription.events() == ["TRIAL_STARTED"]


async def test_deadline_met_on_request_is_reported_as_repaired(
    isolated_env: ServiceEnv,
) -> None:
    subscription = await overdue(isolated_env)
    async with deadline_reached(isolated_env, subscription):
        checking = asyncio.create_task(found(isolated_env))
        await wait_for("settle is requested", lambda: has_settle_request(subscription))
    [finding] = await checking
    assert (finding.code, finding.repaired) == ("DEADLINE_LONG_PAST", True)
    assert finding.message.startswith("TRIAL_END was due on ")
    assert await subscription.events() == ["TRIAL_STARTED", "TRIAL_ENDED"]
    assert await found(isolated_env) == []


async def has_settle_request(subscription: SubscriptionDriver) -> bool:
    return any(
        event.workflow_execution_update_accepted_event_attributes.accepted_request.input.name == "settle"
        for event in await subscription.history()
    )


async def test_deadline_not_met_on_request_is_left_to_operator(isolated_env: ServiceEnv) -> None:
    subscription = await overdue(isolated_env)
    async with deadline_reached(isolated_env, subscription):
        [finding] = await found(isolated_env, answer_timeout=SHORT_TIMEOUT)
    assert (finding.code, finding.repaired) == ("DEADLINE_LONG_PAST", False)
    await gets_attention(subscription)
    await subscription.client.settle(subscription.id)
    assert await found(isolated_env) == []
    await gets_attention(subscription, needed=False)
