"""Webhook dispatchers of several processes, and events for them to deliver."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta

from adapters.postgres.pool import create_pool
from adapters.webhooks.dispatcher import run_webhook_dispatcher
from subscription.business_calendar import KST
from support.service_env import ServiceEnv
from support.subscription_driver import SubscriptionDriver

TOMORROW = (datetime.now(KST).date() + timedelta(days=1)).isoformat()
POLL_SECONDS = 0.05


@asynccontextmanager
async def run_dispatchers(
    service_env: ServiceEnv, number: int = 1, *, call_timeout: float = 10
) -> AsyncIterator[None]:
    """Run the webhook dispatchers of this many processes."""
    async with AsyncExitStack() as stack:
        for _ in range(number):
            pool = await stack.enter_async_context(
                create_pool(service_env.worker_url, "worksub_worker", connections=8)
            )
            await stack.enter_async_context(
                run_webhook_dispatcher(
                    pool, allow_private_targets=True, call_timeout=call_timeout, poll_seconds=POLL_SECONDS
                )
            )
        yield


async def add_events(subscription: SubscriptionDriver, times: int) -> None:
    """Add two events to the subscription per repetition."""
    for _ in range(times):
        await subscription.send("switch_to_paid", date=TOMORROW, term="ANNUAL")
        await subscription.send("withdraw_reservation")
