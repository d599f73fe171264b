"""Failing webhook receivers: retries, pauses, and parked deliveries."""

from datetime import datetime, timedelta

import pytest
from support.polling import wait_for
from support.service_env import ServiceEnv, unique_name
from support.webhook_dispatchers import add_events, run_dispatchers
from support.webhook_receiver import receiving

from adapters.webhooks.http_client import (
    LONGEST_RETRY_AFTER,
    EndpointUnavailableError,
    EventRejectedError,
    WebhookHttpClient,
)
from starter.webhook_endpoints import Delivery, Endpoint, WebhookEndpointStore
from subscription.business_calendar import KST
from subscription.webhook_events import DeliveryState, EndpointStatus, make_test_event

TOMORROW = (datetime.now(KST).date() + timedelta(days=1)).isoformat()


async def test_failed_delivery_is_retried_without_blocking_others(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    customer = unique_name("C")
    async with receiving() as receiver, run_dispatchers(webhook_env):
        # Added after the request, so that no event of the subscription is sent before `bad` is set.
        refused = await webhook_env.requested(customer_id=customer)
        receiver.bad.add(refused.id)
        created = await endpoint_store.add(receiver.url, customer)
        await add_events(refused, 1)
        well = await webhook_env.requested(customer_id=customer)
        await receiver.has(well.id, 1)

        async def waiting() -> list[Delivery] | None:
            found_deliveries = await endpoint_store.deliveries(created.endpoint_id)
            of_the_refused = [
                delivery for delivery in found_deliveries if delivery.subscription_id == refused.id
            ]
            return of_the_refused if of_the_refused[0].last_error else None

        first, *behind = await wait_for("the failed attempt is recorded", waiting) or []
        assert (first.state, first.last_error) == (DeliveryState.WAITING, "the endpoint answered 500")
        assert [delivery.attempts for delivery in behind] == [0]
        receiver.bad.clear()
        await endpoint_store.replay_subscription(created.endpoint_id, refused.id)
        await receiver.has(refused.id, 1, 2, 3)


async def test_replay_during_a_failing_call_starts_a_new_series(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    customer = unique_name("C")
    subscription = await webhook_env.requested(customer_id=customer)
    async with receiving() as receiver:
        receiver.status = 500
        receiver.holds()
        created = await endpoint_store.add(receiver.url, customer)
        await endpoint_store.replay_subscription(created.endpoint_id, subscription.id)
        # The fifth attempt, after more than three days: another failure would park the delivery.
        await webhook_env.owner.execute(
            """
            UPDATE webhook_deliveries SET attempts = 4, queued_at = queued_at - interval '73 hours'
             WHERE endpoint_id = $1
            """,
            created.endpoint_id,
        )
        async with run_dispatchers(webhook_env):
            await receiver.is_called(1)
            await endpoint_store.replay_subscription(created.endpoint_id, subscription.id)
            receiver.releases()

            async def failed() -> Delivery | None:
                [found] = await endpoint_store.deliveries(created.endpoint_id)
                return found if found.attempts == 1 else None

            delivery = await wait_for("the failed attempt is recorded as the first", failed)
            assert delivery is not None
            assert delivery.state is DeliveryState.WAITING


async def test_unavailable_receiver_backs_off_and_recovers(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    customer = unique_name("C")
    async with receiving() as receiver, receiving() as other, run_dispatchers(webhook_env, call_timeout=2):
        receiver.hangs = True
        created = await endpoint_store.add(receiver.url, customer)
        await endpoint_store.add(other.url, customer)
        subscription = await webhook_env.requested(customer_id=customer)
        await receiver.is_called(1)
        await other.has(subscription.id, 1)

        async def current_endpoint() -> Endpoint:
            [found] = [
                each for each in await endpoint_store.list() if each.endpoint_id == created.endpoint_id
            ]
            return found

        async def is_paused() -> bool:
            found = await current_endpoint()
            return found.paused_until is not None and found.waiting == 1

        async def has_recovered() -> bool:
            found = await current_endpoint()
            return (found.failures, found.waiting) == (0, 0)

        await wait_for("the endpoint is paused", is_paused)
        await add_events(subscription, 1)
        receiver.hangs = False
        await receiver.has(subscription.id, 1, 2, 3)
        await wait_for("no delivery is waiting", has_recovered)


async def test_endpoint_answering_410_is_disabled(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    customer = unique_name("C")
    async with receiving() as receiver, run_dispatchers(webhook_env):
        receiver.status = 410
        created = await endpoint_store.add(receiver.url, customer)
        subscription = await webhook_env.requested(customer_id=customer)

        async def current_endpoint() -> Endpoint | None:
            [found] = [
                each for each in await endpoint_store.list() if each.endpoint_id == created.endpoint_id
            ]
            return found if found.status is EndpointStatus.DISABLED else None

        found = await wait_for("the endpoint is disabled", current_endpoint)
        assert found is not None
        assert (found.status_reason, found.waiting, found.parked) == ("the endpoint answered 410", 0, 1)
        await subscription.send("switch_to_paid", date=TOMORROW, term="ANNUAL")
        receiver.status = 200
        assert len(await endpoint_store.deliveries(created.endpoint_id)) == 1, (
            "events while disabled are not queued"
        )
        await endpoint_store.set_status(created.endpoint_id, EndpointStatus.ENABLED)
        await endpoint_store.replay_subscription(created.endpoint_id, subscription.id)
        await receiver.has(subscription.id, 1, 2)


@pytest.mark.parametrize(
    ("status", "header", "pause"),
    [
        (503, "120", timedelta(seconds=120)),
        (429, "999999999999999", LONGEST_RETRY_AFTER),
        (500, "60", timedelta(seconds=60)),
        (503, "Sun, 06 Nov 1994 08:49:37 GMT", timedelta()),
        (503, "Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_RETRY_AFTER),
        (503, "soon", timedelta()),
        (503, "", timedelta()),
    ],
)
async def test_retry_after_is_respected_up_to_a_limit(status: int, header: str, pause: timedelta) -> None:
    event = make_test_event(1, datetime.now(KST))
    async with receiving() as receiver, WebhookHttpClient(allow_private_targets=True) as caller:
        receiver.status, receiver.headers = status, {"Retry-After": header}
        with pytest.raises((EndpointUnavailableError, EventRejectedError)) as failed:
            await caller.call(receiver.url, event, ["c2VjcmV0"])
    assert failed.value.retry_after == pause


async def test_retry_after_delays_the_endpoint(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    customer = unique_name("C")
    async with receiving() as receiver, run_dispatchers(webhook_env):
        receiver.status, receiver.headers = 503, {"Retry-After": "1800"}
        created = await endpoint_store.add(receiver.url, customer)
        await webhook_env.requested(customer_id=customer)

        async def paused_for() -> timedelta | None:
            left: timedelta | None = await webhook_env.owner.fetchval(
                "SELECT paused_until - clock_timestamp() FROM webhook_endpoints WHERE endpoint_id = $1",
                created.endpoint_id,
            )
            return left

        left = await wait_for("the endpoint is paused", paused_for)
        assert left is not None
        assert timedelta(minutes=20) < left <= timedelta(minutes=30)


async def test_delivery_is_parked_after_three_days_and_replayed(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    customer = unique_name("C")
    async with receiving() as receiver, run_dispatchers(webhook_env):
        receiver.status = 400
        created = await endpoint_store.add(receiver.url, customer)
        subscription = await webhook_env.requested(customer_id=customer)
        await receiver.is_called(1)
        await webhook_env.owner.execute(
            """
            UPDATE webhook_deliveries SET queued_at = queued_at - interval '73 hours',
                   next_attempt_at = clock_timestamp() WHERE subscription_id = $1
            """,
            subscription.id,
        )

        async def parked() -> bool:
            found = await endpoint_store.deliveries(created.endpoint_id, state=DeliveryState.PARKED)
            return [each.last_error for each in found] == ["the endpoint answered 400"]

        await wait_for("the delivery is parked", parked)
        receiver.status = 200
        await subscription.send("switch_to_paid", date=TOMORROW, term="ANNUAL")
        await receiver.has(subscription.id, 2)
        assert await endpoint_store.replay_parked(created.endpoint_id) == 1
        await receiver.has(subscription.id, 2, 1)


async def test_long_outage_parks_all_pending_deliveries(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    customer = unique_name("C")
    async with receiving() as receiver:
        gone = receiver.url
    created = await endpoint_store.add(gone, customer)
    subscriptions = [await webhook_env.requested(customer_id=customer) for _ in range(3)]
    await webhook_env.owner.execute(
        "UPDATE webhook_deliveries SET queued_at = queued_at - interval '73 hours' WHERE endpoint_id = $1",
        created.endpoint_id,
    )
    async with run_dispatchers(webhook_env):

        async def all_parked() -> bool:
            found = await endpoint_store.deliveries(created.endpoint_id, state=DeliveryState.PARKED)
            return len(found) == len(subscriptions)

        await wait_for("every delivery is parked", all_parked)
