"""Webhook security: secrets, removed endpoints, allowed targets."""

from datetime import datetime, timedelta

import pytest
from standardwebhooks.webhooks import WebhookVerificationError
from support.polling import gather_all
from support.service_env import ServiceEnv, unique_name
from support.webhook_dispatchers import run_dispatchers
from support.webhook_receiver import receiving

from adapters.postgres.pool import create_pool
from adapters.webhooks.http_client import (
    EndpointUnavailableError,
    EventRejectedError,
    WebhookHttpClient,
)
from starter.webhook_endpoints import EndpointNotFoundError, WebhookEndpointStore
from subscription.business_calendar import KST
from subscription.webhook_events import EndpointStatus, make_test_event


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
    # A longer overlap of a later rotation does not extend the earlier ones.
    await endpoint_store.rotate(created.endpoint_id, timedelta(days=30))
    secrets = "SELECT count(*) FROM webhook_secrets WHERE endpoint_id = $1"
    long_lasting = await webhook_env.owner.fetchval(
        f"{secrets} AND expires_at > now() + interval '2 hours'",
        created.endpoint_id,
    )
    assert long_lasting == 1


async def test_removed_endpoint_cannot_be_changed(
    webhook_env: ServiceEnv, endpoint_store: WebhookEndpointStore
) -> None:
    created = await endpoint_store.add("https://receiver.example/", unique_name("C"))
    await endpoint_store.remove(created.endpoint_id)
    secrets = "SELECT count(*) FROM webhook_secrets WHERE endpoint_id = $1"
    assert await webhook_env.owner.fetchval(secrets, created.endpoint_id) == 0
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
