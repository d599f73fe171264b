"""Webhooks: delivered at least once and in order, with failing receivers and several dispatchers."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta

import pytest
from standardwebhooks.webhooks import WebhookVerificationError
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv, open_service_env, unique_name
from support.subscription_driver import SubscriptionDriver
from support.webhook_receiver import receiving
from temporalio.client import Client

from adapters.postgres import webhook_outbox
from adapters.postgres.pool import create_pool
from adapters.webhooks.dispatcher import run_webhook_dispatcher
from adapters.webhooks.fairness import SLOTS, ReadyEndpoint, admitted
from adapters.webhooks.http_client import (
    LONGEST_RETRY_AFTER,
    EndpointUnavailableError,
    EventRejectedError,
    WebhookHttpClient,
)
from dev_stack.stack import EmbeddedStack
from starter.webhook_endpoints import Delivery, Endpoint, EndpointNotFoundError, WebhookEndpointStore
from subscription.business_calendar import KST
from subscription.webhook_events import DeliveryState, EndpointStatus, make_test_event

TOMORROW = (datetime.now(KST).date() + timedelta(days=1)).isoformat()
TODAY = datetime.now(KST).date().isoformat()
POLL_SECONDS = 0.05


@pytest.fixture(scope="module")
async def webhook_env(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[ServiceEnv]:
    """Open an isolated service environment, because dispatchers deliver to all of its endpoints."""
    async with open_service_env(stack, temporal) as opened:
        yield opened


@pytest.fixture(scope="module")
async def endpoint_store(webhook_env: ServiceEnv) -> AsyncIterator[WebhookEndpointStore]:
    async with create_pool(webhook_env.reader_url, "worksub_admin", connections=2) as pool:
        yield WebhookEndpointStore(pool)


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


async def test_failed_delivery_is_retried_without_blocking_others(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    customer = unique_name("C")
    async with receiving() as receiver, run_dispatchers(webhook_env):
        created = await endpoint_store.add(receiver.url, customer)
        refused = await webhook_env.requested(customer_id=customer)
        receiver.bad.add(refused.id)
        await add_events(refused, 1)
        well = await webhook_env.requested(customer_id=customer)
        await receiver.has(well.id, 1)

        async def waiting() -> list[Delivery] | None:
            found_deliveries = await endpoint_store.deliveries(created.endpoint_id)
            of_the_refused = [each for each in found_deliveries if each.subscription_id == refused.id]
            return of_the_refused if of_the_refused[0].last_error else None

        first, *behind = await wait_for("the failed attempt is recorded", waiting) or []
        assert (first.state, first.last_error) == (DeliveryState.WAITING, "the endpoint answered 500")
        assert [each.attempts for each in behind] == [0, 0]
        receiver.bad.clear()
        await endpoint_store.replay_subscription(created.endpoint_id, refused.id)
        await receiver.has(refused.id, 1, 2, 3)


async def test_unavailable_receiver_backs_off_and_recovers(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    customer = unique_name("C")
    async with receiving() as receiver, receiving() as other, run_dispatchers(webhook_env, call_timeout=0.3):
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


async def test_unreadable_event_does_not_block_other_deliveries(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    customer = unique_name("C")
    async with receiving() as receiver, run_dispatchers(webhook_env):
        created = await endpoint_store.add(receiver.url, customer)
        await endpoint_store.set_status(created.endpoint_id, EndpointStatus.PAUSED)
        subscription = await webhook_env.requested(customer_id=customer)
        await webhook_env.owner.execute(
            """
            INSERT INTO ledger_lines (subscription_id, sequence, position, key, customer_id, kind, first_day,
                                      end_day, amount, effective_at, line)
            VALUES ($1, 1, 0, 'unreadable', $2, 'SERVICE_FEE', '2027-01-01', '2027-01-02', 1,
                    clock_timestamp(), '{}')
            """,
            subscription.id,
            customer,
        )
        well = await webhook_env.requested(customer_id=customer)
        await endpoint_store.set_status(created.endpoint_id, EndpointStatus.ENABLED)
        await receiver.has(well.id, 1)

        async def failure_is_recorded() -> bool:
            found_deliveries = await endpoint_store.deliveries(created.endpoint_id)
            return "the event cannot be read" in [each.last_error for each in found_deliveries]

        await wait_for("the failure is recorded", failure_is_recorded)


async def test_concurrent_dispatchers_neither_repeat_nor_reorder(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    customer = unique_name("C")
    async with receiving() as receiver, run_dispatchers(webhook_env, 3):
        await endpoint_store.add(receiver.url, customer)
        subscriptions = await gather_all(webhook_env.requested(customer_id=customer) for _ in range(6))
        await gather_all(add_events(subscription, 3) for subscription in subscriptions)
        for subscription in subscriptions:
            await receiver.has(subscription.id, 1, 2, 3, 4, 5, 6, 7)
        assert not receiver.overlapped
        ids = [headers["webhook-id"] for headers, _ in receiver.calls]
        assert len(ids) == len(set(ids)) == 42


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


async def test_rotated_secret_overlaps_with_the_previous_one(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    customer = unique_name("C")
    async with receiving() as receiver, run_dispatchers(webhook_env):
        old = await endpoint_store.add(receiver.url, customer)
        new = await endpoint_store.rotate(old.endpoint_id, timedelta(hours=1))
        number = await endpoint_store.test(old.endpoint_id)
        await receiver.has_taken(1)
        assert receiver.verifies(old.secret)
        assert receiver.verifies(new.secret)
        assert receiver.taken[0]["type"] == "worksub.webhook.test"
        tried = await endpoint_store.delivery(number)
        assert tried is not None
        receiver.calls.clear()
        last = await endpoint_store.rotate(old.endpoint_id, timedelta())
        await endpoint_store.test(old.endpoint_id)
        await receiver.is_called(1)
        assert receiver.verifies(last.secret)
        with pytest.raises(WebhookVerificationError):
            receiver.verifies(new.secret)


async def test_concurrent_secret_rotations_keep_one_secret(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    """Each rotation ends all earlier secrets; otherwise an old secret could sign forever."""
    created = await endpoint_store.add("https://receiver.example/", unique_name("C"))
    await gather_all(endpoint_store.rotate(created.endpoint_id, timedelta(hours=1)) for _ in range(6))
    without_end = await webhook_env.owner.fetchval(
        "SELECT count(*) FROM webhook_secrets WHERE endpoint_id = $1 AND expires_at IS NULL",
        created.endpoint_id,
    )
    assert without_end == 1


async def test_removed_endpoint_cannot_be_changed(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    created = await endpoint_store.add("https://receiver.example/", unique_name("C"))
    await endpoint_store.remove(created.endpoint_id)
    for change in (
        endpoint_store.set_status(created.endpoint_id, EndpointStatus.ENABLED),
        endpoint_store.rotate(created.endpoint_id, timedelta()),
        endpoint_store.remove(created.endpoint_id),
    ):
        with pytest.raises(EndpointNotFoundError):
            await change


async def test_removed_endpoint_receives_nothing(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    customer = unique_name("C")
    async with receiving() as receiver, receiving() as other, run_dispatchers(webhook_env):
        created = await endpoint_store.add(receiver.url, customer)
        await endpoint_store.add(other.url, customer)
        await endpoint_store.remove(created.endpoint_id)
        subscription = await webhook_env.requested(customer_id=customer)
        with pytest.raises(EndpointNotFoundError):
            await endpoint_store.deliveries(created.endpoint_id)
        await other.has(subscription.id, 1)
        assert receiver.calls == []


async def test_admin_and_reader_roles_cannot_read_secrets(webhook_env: ServiceEnv) -> None:
    async with create_pool(webhook_env.reader_url, "worksub_admin", connections=1) as pool:
        with pytest.raises(Exception, match="permission denied"):
            await pool.fetch("SELECT secret FROM webhook_secrets")
    async with create_pool(webhook_env.reader_url, "worksub_reader", connections=1) as pool:
        for table in ("webhook_secrets", "webhook_endpoints", "api_keys"):
            with pytest.raises(Exception, match="permission denied"):
                await pool.fetch(f"SELECT * FROM {table}")


async def test_private_targets_and_redirects_are_not_requested() -> None:
    event = make_test_event(1, datetime.now(KST))
    async with receiving() as receiver:
        port = receiver.url.rpartition(":")[2]
        async with WebhookHttpClient(allow_private_targets=False) as caller:
            for url in (
                receiver.url,
                f"https://localhost:{port}",
                f"https://127.0.0.1:{port}",
                f"https://[::ffff:127.0.0.1]:{port}",
                "https://169.254.169.254/latest/meta-data",
                "https://2130706433/",
                "https://0x7f.1/",
            ):
                with pytest.raises(EndpointUnavailableError, match=r"internal|https|cannot be reached"):
                    await caller.call(url, event, ["c2VjcmV0"])
        assert receiver.calls == []
        receiver.status = 302
        async with WebhookHttpClient(allow_private_targets=True) as caller:
            with pytest.raises(EventRejectedError, match="302"):
                await caller.call(receiver.url, event, ["c2VjcmV0"])
        assert len(receiver.calls) == 1
