"""Fairness between webhook endpoints: slow receivers do not delay the others."""

from contextlib import AsyncExitStack
from datetime import timedelta

from support.service_env import ServiceEnv, unique_name
from support.webhook_dispatchers import POLL_SECONDS, run_dispatchers
from support.webhook_receiver import receiving

from adapters.postgres import webhook_outbox
from adapters.postgres.pool import create_pool
from adapters.webhooks.dispatcher import run_webhook_dispatcher
from adapters.webhooks.fairness import SLOTS, ReadyEndpoint, admitted
from starter.webhook_endpoints import Endpoint, WebhookEndpointStore
from subscription.webhook_events import DeliveryState


async def test_slow_responses_do_not_block_other_receivers(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    """Waiting for a slow receiver blocks no other endpoint and holds no database connection."""
    slow_customer, other_customer = unique_name("C"), unique_name("C")
    async with AsyncExitStack() as receivers:
        held = [await receivers.enter_async_context(receiving()) for _ in range(5)]
        good, others = [await receivers.enter_async_context(receiving()) for _ in range(2)]
        for receiver in held:
            receiver.holds()
            await endpoint_store.add(receiver.url, slow_customer)
        await endpoint_store.add(good.url, slow_customer)
        await endpoint_store.add(others.url, other_customer)
        # The pool has one connection: a call that held it would block all others.
        pool = await receivers.enter_async_context(
            create_pool(webhook_env.worker_url, "worksub_worker", connections=1)
        )
        async with run_webhook_dispatcher(pool, allow_private_targets=True, poll_seconds=POLL_SECONDS):
            subscriptions = [await webhook_env.requested(customer_id=slow_customer) for _ in range(3)]
            other_subscription = await webhook_env.requested(customer_id=other_customer)
            for receiver in held:
                await receiver.is_called(1)
            for subscription in subscriptions:
                await good.has(subscription.id, 1)
            await others.has(other_subscription.id, 1)
            assert [receiver.taken for receiver in held] == [[]] * 5
            for receiver in held:
                receiver.releases()
            for receiver in held:
                for subscription in subscriptions:
                    await receiver.has(subscription.id, 1)


async def test_hanging_receivers_leave_capacity_for_other_customers(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    slow_customer, other_customer = unique_name("C"), unique_name("C")
    async with receiving() as held, receiving() as good, run_dispatchers(webhook_env):
        held.holds()
        for _ in range(20):
            await endpoint_store.add(held.url, slow_customer)
        await endpoint_store.add(good.url, other_customer)
        await webhook_env.requested(customer_id=slow_customer)
        await held.is_called(8)
        other_subscription = await webhook_env.requested(customer_id=other_customer)
        await good.has(other_subscription.id, 1)
        assert len(held.calls) == 8, "one customer's share of the slots"
        held.releases()
        await held.is_called(20)


def test_endpoints_are_served_round_robin() -> None:
    def endpoints(number: int, customer: str | None, failures: int = 0) -> list[ReadyEndpoint]:
        return [ReadyEndpoint(f"{customer}-{n}-{failures}", customer, failures) for n in range(number)]

    well = endpoints(3, "well")
    assert admitted(well, [], {"well-0-0": 2, "well-1-0": 1}) == [well[2], well[1], well[0]]
    assert admitted(well, well[:1], {}) == well[1:]
    assert len(admitted(endpoints(20, "many"), [], {})) == 8
    assert len(admitted(endpoints(20, "many", failures=1), [], {})) == 4
    failing = [each for n in range(50) for each in endpoints(4, f"C-{n}", failures=3)]
    running = admitted(failing, [], {})
    assert len(running) == SLOTS // 4
    assert admitted(well, running, {}) == well
    crowd = [each for n in range(50) for each in endpoints(8, f"C-{n}")]
    assert len(admitted(crowd, [], {})) == SLOTS


async def test_slow_endpoint_is_paused_like_a_failing_one(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    created = await endpoint_store.add("http://127.0.0.1:9/", unique_name("C"))

    async def current_endpoint() -> Endpoint:
        [found] = [each for each in await endpoint_store.list() if each.endpoint_id == created.endpoint_id]
        return found

    async with create_pool(webhook_env.worker_url, "worksub_worker", connections=1) as pool:
        for slow, failures in ((True, 1), (True, 2), (False, 0)):
            number = await webhook_env.owner.fetchval(
                "INSERT INTO webhook_deliveries (endpoint_id) VALUES ($1) RETURNING number",
                created.endpoint_id,
            )
            await webhook_env.owner.execute(
                "UPDATE webhook_endpoints SET paused_until = NULL WHERE endpoint_id = $1", created.endpoint_id
            )
            lease = timedelta(minutes=1)
            [claimed] = await webhook_outbox.claim(pool, created.endpoint_id, limit=4, lease=lease)
            assert claimed.number == number
            assert await webhook_outbox.claim(pool, created.endpoint_id, limit=4, lease=lease) == []
            await webhook_outbox.mark_delivered(pool, claimed, slow=slow)
            settled = await endpoint_store.delivery(number)
            assert settled is not None
            assert settled.state is DeliveryState.DELIVERED
            found = await current_endpoint()
            assert (found.failures, found.paused_until is not None) == (failures, slow)
