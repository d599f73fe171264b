"""Webhook delivery: signed, at least once and in order, also with several dispatchers."""

from datetime import datetime, timedelta

from support.corruption import execute_as_superuser
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv, unique_name
from support.webhook_dispatchers import add_events, run_dispatchers
from support.webhook_receiver import receiving

from adapters.postgres.pool import create_pool
from adapters.webhooks.dispatcher import run_webhook_dispatcher
from starter.webhook_endpoints import WebhookEndpointStore
from subscription.business_calendar import KST
from subscription.webhook_events import EndpointStatus

TOMORROW = (datetime.now(KST).date() + timedelta(days=1)).isoformat()
TODAY = datetime.now(KST).date().isoformat()


async def test_every_event_is_delivered_signed_and_in_order(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    customer = unique_name("C")
    async with receiving() as receiver, receiving() as other, run_dispatchers(webhook_env):
        created = await endpoint_store.add(receiver.url, customer)
        await endpoint_store.add(other.url, unique_name("C"))
        subscription = await webhook_env.requested(customer_id=customer)
        await subscription.send("switch_to_paid", date=TODAY, term="ANNUAL")
        await subscription.send("cancel", date=TODAY)
        await receiver.has(subscription.id, 1, 2, 3, 4)
        assert receiver.verifies(created.secret)
        first = receiver.taken[0]
        assert first == {
            "specversion": "1.0",
            "id": f"{subscription.id}.1",
            "source": "/worksub/subscriptions",
            "type": "worksub.subscription.trial_started",
            "subject": subscription.id,
            "time": first["time"],
            "sequence": "0000000001",
            "datacontenttype": "application/json",
            "dataschema": "urn:worksub:schema:subscription-event:1",
            "data": {
                "subscription_id": subscription.id,
                "customer_id": customer,
                "sequence": 1,
                "event": "TRIAL_STARTED",
                "state": "TRIAL",
                "message": first["data"]["message"],
                "ledger": [],
            },
        }
        headers = receiver.calls[0][0]
        assert headers["content-type"] == "application/cloudevents+json"
        assert headers["webhook-id"] == first["id"]
        assert [event["data"]["event"] for event in receiver.taken[-2:]] == ["CANCELED", "ERASED"]
        assert receiver.taken[2]["data"]["ledger"] == [
            line.model_dump(mode="json") for line in await subscription.ledger()
        ]
        assert other.calls == []
    found_deliveries = str(receiver.calls)
    for name in (subscription.request["account"]["group"], "Acme Korea", "admin@"):
        assert name not in found_deliveries


async def test_resumed_endpoint_receives_missed_events(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    customer = unique_name("C")
    async with receiving() as receiver, receiving() as other, run_dispatchers(webhook_env):
        created = await endpoint_store.add(receiver.url, customer)
        await endpoint_store.add(other.url, customer)
        await endpoint_store.set_status(created.endpoint_id, EndpointStatus.PAUSED)
        subscription = await webhook_env.requested(customer_id=customer)
        await other.has(subscription.id, 1)
        assert receiver.calls == []
        await endpoint_store.set_status(created.endpoint_id, EndpointStatus.ENABLED)
        await receiver.has(subscription.id, 1)


async def test_endpoint_receives_only_subscribed_event_types(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    customer = unique_name("C")
    async with receiving() as receiver, run_dispatchers(webhook_env):
        created = await endpoint_store.add(receiver.url, customer, events=["SWITCH_RESERVED", "CANCELED"])
        subscription = await webhook_env.requested(customer_id=customer)
        await subscription.send("switch_to_paid", date=TOMORROW, term="ANNUAL")
        await subscription.send("withdraw_reservation")
        await subscription.send("cancel", date=TODAY)
        await receiver.has(subscription.id, 2, 4)
        assert await endpoint_store.replay_subscription(created.endpoint_id, subscription.id) == 2


async def test_unreadable_event_does_not_block_other_deliveries(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    customer = unique_name("C")
    async with receiving() as receiver, run_dispatchers(webhook_env):
        created = await endpoint_store.add(receiver.url, customer)
        await endpoint_store.set_status(created.endpoint_id, EndpointStatus.PAUSED)
        subscription = await webhook_env.requested(customer_id=customer)
        await execute_as_superuser(
            webhook_env,
            "UPDATE lifecycle_events SET detail = '{}' WHERE subscription_id = $1",
            subscription.id,
        )
        well = await webhook_env.requested(customer_id=customer)
        await endpoint_store.set_status(created.endpoint_id, EndpointStatus.ENABLED)
        await receiver.has(well.id, 1)

        async def failure_is_recorded() -> bool:
            found_deliveries = await endpoint_store.deliveries(created.endpoint_id)
            return "the event cannot be read" in [delivery.last_error for delivery in found_deliveries]

        await wait_for("the failure is recorded", failure_is_recorded)


async def test_concurrent_dispatchers_neither_repeat_nor_reorder(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    customer = unique_name("C")
    async with receiving() as receiver, run_dispatchers(webhook_env, 3):
        await endpoint_store.add(receiver.url, customer)
        subscriptions = await gather_all(webhook_env.requested(customer_id=customer) for _ in range(4))
        await gather_all(add_events(subscription, 3) for subscription in subscriptions)
        for subscription in subscriptions:
            await receiver.has(subscription.id, 1, 2, 3, 4, 5, 6, 7)
        assert not receiver.overlapped
        ids = [headers["webhook-id"] for headers, _ in receiver.calls]
        assert len(ids) == len(set(ids)) == 28


async def test_interrupted_delivery_is_sent_again(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    customer = unique_name("C")
    async with receiving() as receiver:
        receiver.hangs = True
        await endpoint_store.add(receiver.url, customer)
        subscription = await webhook_env.requested(customer_id=customer)
        async with create_pool(webhook_env.worker_url, "worksub_worker", connections=2) as pool:
            async with run_webhook_dispatcher(
                pool, allow_private_targets=True, call_timeout=0.5, claim_margin=0.5
            ):
                await receiver.is_called(1)
                # Simulate SIGKILL: connections close and the delivery is not settled.
                pool.terminate()
            receiver.hangs = False
        async with run_dispatchers(webhook_env):
            await receiver.has(subscription.id, 1)
        assert {headers["webhook-id"] for headers, _ in receiver.calls} == {f"{subscription.id}.1"}
