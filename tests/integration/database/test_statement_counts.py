"""Every read of a subscription is one SQL statement, which contains the customer ID."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from support.console_server import run_console
from support.html_forms import sign_in, submit
from support.recording_pool import RecordingPool
from support.service_env import ServiceEnv, kst, unique_name
from support.subscription_driver import SubscriptionDriver

from adapters.postgres.pool import Pool, create_pool
from starter.caller import Caller
from starter.client import SubscriptionClient
from subscription.refusals import RefusalCode, RefusalError

Read = Callable[[SubscriptionClient, str], Awaitable[Any]]

TEXTS = "SELECT document FROM catalogue_texts WHERE version = $1"

READS: dict[str, Read] = {
    "check_exists": lambda client, id: client.check_exists(id),
    "snapshot": lambda client, id: client.snapshot(id),
    "status": lambda client, id: client.status(id),
    "entitlements": lambda client, id: client.entitlements(id),
    "timeline": lambda client, id: client.timeline(id),
    "rest of the timeline": lambda client, id: client.timeline(id, after=1, limit=1),
    "history": lambda client, id: client.history(id),
    "ledger": lambda client, id: client.ledger(id),
    "explain": lambda client, id: client.explain(id),
    "adjustments": lambda client, id: client.adjustments(id),
    "certificates": lambda client, id: client.certificates(id),
    "was_accepted": lambda client, id: client.was_accepted(id, "an-unknown-command"),
    "current_state": lambda client, id: client.current_state(id),
    "upcoming": lambda client, id: client.upcoming(id),
    "required_terms": lambda client, id: client.required_terms(id),
    "quote_cancellation": lambda client, id: client.quote_cancellation(id, kst("2027-05-01").date()),
}


@pytest.fixture(scope="module")
async def subscription(service_env: ServiceEnv) -> SubscriptionDriver:
    subscription = await service_env.paid("2027-03-10 09:00", "MONTHLY")
    await subscription.advance_to("2027-04-01 00:00")
    return subscription


def recording_client(
    env: ServiceEnv, pool: Pool, customer_id: str | None
) -> tuple[SubscriptionClient, list[str]]:
    recording = RecordingPool(pool)
    client = SubscriptionClient(
        env.temporal, cast(Pool, recording), caller=Caller(customer_id), task_queue=env.task_queue
    )
    return client, recording.statements


@pytest.mark.parametrize("name", READS)
async def test_read_of_subscription_is_one_statement(
    service_env: ServiceEnv, subscription: SubscriptionDriver, name: str
) -> None:
    owner = subscription.request["customer_id"]
    async with create_pool(service_env.reader_url, "worksub_reader", connections=1) as pool:
        for customer_id in (owner, None):
            client, statements = recording_client(service_env, pool, customer_id)
            await READS[name](client, subscription.id)
            read, *others = statements
            assert "customer_id = $2" in read
            # The texts of the terms belong to the catalogue, which is no customer's.
            assert others == [TEXTS] * (name == "required_terms")


@pytest.mark.parametrize("name", READS)
async def test_read_of_other_customer_is_not_found(
    service_env: ServiceEnv, subscription: SubscriptionDriver, name: str
) -> None:
    async with create_pool(service_env.reader_url, "worksub_reader", connections=1) as pool:
        other, statements = recording_client(service_env, pool, "C-other")
        missing = unique_name("missing")
        for subscription_id in (subscription.id, missing):
            with pytest.raises(RefusalError) as refused:
                await READS[name](other, subscription_id)
            assert refused.value.refused.code is RefusalCode.SUBSCRIPTION_NOT_FOUND
        assert len(statements) == 2


async def test_cancellation_forms_load_state_once(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested()
    await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="ANNUAL")
    async with create_pool(service_env.reader_url, "worksub_reader", connections=4) as pool:
        client, statements = recording_client(service_env, pool, None)
        async with run_console(service_env, client=client) as console, console.browser() as browser:
            await sign_in(browser, subscription.request["customer_id"])
            page = await browser.get(f"/subscriptions/{subscription.id}/cancel")
            statements.clear()
            page = await submit(browser, page, "/cancel", date=f"{await subscription.today()}")
            assert len(statements) == 1, statements
            statements.clear()
            page = await submit(browser, page, "/cancel", method="post", confirmation="not the account")
            assert page.status_code == 422
            loads = [
                statement
                for statement in statements
                if "snapshot" in statement and "catalogue_versions" in statement
            ]
            assert len(loads) == 1, statements
