"""Webhook endpoints in the API, and the event list with which a client catches up."""

import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from support.api_client import ApiClient, ApiServer, open_api_server
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv, unique_name
from support.webhook_receiver import receiving

from adapters.postgres.pool import create_pool
from adapters.webhooks.dispatcher import run_webhook_dispatcher
from starter.scoped_webhook_endpoints import MOST_ENDPOINTS
from subscription.business_calendar import KST

TOMORROW = (datetime.now(KST).date() + timedelta(days=1)).isoformat()


@pytest.fixture(scope="module")
async def private_targets_api(service_env: ServiceEnv) -> AsyncIterator[ApiServer]:
    """Run the API of a deployment that allows webhooks to private addresses."""
    async with open_api_server(service_env, allow_private_webhook_targets=True) as opened:
        yield opened


async def test_endpoint_lifecycle(service_env: ServiceEnv, private_targets_api: ApiServer) -> None:
    visitor = await private_targets_api.visitor(unique_name("C"))
    async with (
        receiving() as receiver,
        create_pool(service_env.worker_url, "worksub_worker", connections=4) as pool,
        run_webhook_dispatcher(pool, allow_private_targets=True, poll_seconds=0.1),
    ):
        wanted = {"url": receiver.url, "events": ["TRIAL_STARTED", "SWITCH_RESERVED"]}
        created = await visitor.posts("/webhook-endpoints", wanted, 201)
        there = f"/webhook-endpoints/{created['endpoint_id']}"
        await visitor.posts(f"{there}/test", {})
        await receiver.is_called(1)
        assert receiver.verifies(created["secret"])
        await visitor.posts(f"{there}/pause", {})
        subscription_id = await visitor.requests(service_env)
        found = await visitor.gets(there)
        assert (found["status"], found["waiting"], found["events"]) == ("PAUSED", 1, wanted["events"])
        await visitor.posts(f"{there}/resume", {})
        await receiver.has(subscription_id, 1)

        async def all_delivered() -> Any:
            deliveries = await visitor.gets(f"{there}/deliveries", state="DELIVERED")
            return [item["event"] for item in deliveries["items"]] == [None, "TRIAL_STARTED"]

        await wait_for("both are delivered", all_delivered)
        again = {"subscription_id": subscription_id}
        assert await visitor.posts(f"{there}/replay", again) == {"queued": 1}
        await receiver.has(subscription_id, 1, 1)
        turned = await visitor.posts(f"{there}/rotate-secret", {"overlap_hours": 0})
        receiver.calls.clear()
        await visitor.posts(f"{there}/test", {})
        await receiver.is_called(1)
        assert receiver.verifies(turned["secret"])
    assert (await visitor.http.delete(f"/v1{there}")).status_code == 204
    assert (await visitor.gets(there, 404))["code"] == "ENDPOINT_NOT_FOUND"
    assert (await visitor.gets("/webhook-endpoints"))["items"] == []


async def test_repeated_write_runs_once_and_hides_the_secret(private_targets_api: ApiServer) -> None:
    visitor = await private_targets_api.visitor(unique_name("C"))
    body, key = {"url": "https://hooks.acme.example/"}, uuid.uuid4().hex
    answers = await gather_all(visitor.posts("/webhook-endpoints", body, 201, key=key) for _ in range(5))
    assert len({answer["endpoint_id"] for answer in answers}) == 1
    assert [answer["secret"] for answer in answers].count(None) == 4
    refused = await visitor.posts("/webhook-endpoints", {"url": "https://other.example/"}, 422, key=key)
    assert refused["code"] == "COMMAND_ID_REUSED"
    there = f"/v1/webhook-endpoints/{answers[0]['endpoint_id']}/rotate-secret"
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    turned = [await visitor.http.post(there, json={}, headers=headers) for _ in range(2)]
    assert [each.headers.get("Idempotent-Replayed") for each in turned] == [None, "true"]
    assert [each.json()["secret"] is None for each in turned] == [False, True]


async def test_invalid_endpoint_is_refused(api_server: ApiServer, operator: ApiClient) -> None:
    visitor = await api_server.visitor(unique_name("C"))
    for body, status, code, field in (
        ({"url": "http://hooks.acme.example/"}, 422, "INVALID_URL", "url"),
        ({"url": "https://169.254.169.254/"}, 422, "INVALID_URL", "url"),
        ({"url": "https://a.example/", "events": ["TRIAL"]}, 422, "INVALID_ARGUMENT", "events.0"),
        ({"url": "https://a.example/", "events": []}, 422, "INVALID_ARGUMENT", "events"),
        ({"url": "https://a.example/", "colour": "red"}, 422, "INVALID_ARGUMENT", "colour"),
        ({}, 422, "INVALID_ARGUMENT", "url"),
    ):
        refused = await visitor.posts("/webhook-endpoints", body, status)
        assert (refused["code"], refused["field"]) == (code, field)
    created = await operator.posts("/webhook-endpoints", {"url": "https://a.example/"}, 201)
    found = await operator.gets(f"/webhook-endpoints/{created['endpoint_id']}")
    assert found["customer_id"] is None
    await operator.http.delete(f"/v1/webhook-endpoints/{created['endpoint_id']}")


async def test_replay_requires_an_existing_subscription(
    service_env: ServiceEnv, api_server: ApiServer, rival: ApiClient
) -> None:
    visitor = await api_server.visitor(unique_name("C"))
    created = await visitor.posts("/webhook-endpoints", {"url": "https://a.example/"}, 201)
    there = f"/webhook-endpoints/{created['endpoint_id']}/replay"
    of_another = await rival.requests(service_env)
    for unknown in ("none", of_another, "a\0b", ""):
        refused = await visitor.posts(there, {"subscription_id": unknown}, 404)
        assert refused["code"] == "SUBSCRIPTION_NOT_FOUND"
    refused = await visitor.posts(there, {"from_sequence": 7}, 422)
    assert (refused["code"], refused["field"]) == ("MISSING_FIELD", "subscription_id")
    own = await visitor.requests(service_env)
    assert await visitor.posts(there, {"subscription_id": own, "from_sequence": 2}) == {"queued": 0}
    assert await visitor.posts(there, {"subscription_id": own}) == {"queued": 1}


async def test_burst_of_endpoints_respects_the_limit(api_server: ApiServer) -> None:
    visitor = await api_server.visitor(unique_name("C"))

    async def creates() -> int:
        answer = await visitor.http.post(
            "/v1/webhook-endpoints",
            json={"url": "https://hooks.acme.example/"},
            headers={"Idempotency-Key": uuid.uuid4().hex},
        )
        return answer.status_code

    statuses = await gather_all(creates() for _ in range(MOST_ENDPOINTS + 5))
    assert sorted(statuses) == [201] * MOST_ENDPOINTS + [409] * 5


async def test_event_list_lets_a_client_catch_up(
    service_env: ServiceEnv, api_server: ApiServer, operator: ApiClient
) -> None:
    customer = unique_name("C")
    visitor = await api_server.visitor(customer)
    ids = await gather_all(visitor.requests(service_env) for _ in range(3))
    for each in ids:
        await visitor.posts(f"/subscriptions/{each}/switch-to-paid", {"date": TOMORROW, "term": "ANNUAL"})
    events: list[dict[str, Any]] = []
    after, pages = "0", 0
    while after:
        page = await visitor.gets("/events", after=after, limit=4)
        events += page["items"]
        after, pages = page["next"], pages + 1
    assert pages == 2
    assert [each["number"] for each in events] == [1, 2, 3, 4, 5, 6]
    assert {(each["subscription_id"], each["event"]) for each in events} == {
        (each, event) for each in ids for event in ("TRIAL_STARTED", "SWITCH_RESERVED")
    }
    assert (await visitor.gets("/events", after=6))["items"] == []
    await visitor.posts(f"/subscriptions/{ids[0]}/withdraw-reservation", {})
    [new] = (await visitor.gets("/events", after=6))["items"]
    assert (new["number"], new["event"], new["sequence"]) == (7, "RESERVATION_WITHDRAWN", 3)
    found = (await visitor.gets("/events", event="TRIAL_STARTED", subscription_id=ids[1]))["items"]
    assert [each["subscription_id"] for each in found] == [ids[1]]
    assert (await operator.gets("/events", customer_id=customer)) == await visitor.gets("/events")
    assert (await operator.gets("/events", 422))["code"] == "MISSING_FIELD"
    assert (await visitor.gets("/events", 422, event="TRIAL"))["field"] == "event"


async def test_list_filters_by_every_column(service_env: ServiceEnv, api_server: ApiServer) -> None:
    visitor = await api_server.visitor(unique_name("C"))
    name = unique_name("filtered")
    reserved = await visitor.requests(service_env, account={"group": name}, plan="premium", members=7)
    await visitor.posts(f"/subscriptions/{reserved}/switch-to-paid", {"date": TOMORROW, "term": "ANNUAL"})
    await visitor.requests(service_env, plan="basic", members=3)
    everything = (await visitor.gets("/subscriptions"))["items"]
    [shown] = [each for each in everything if each["subscription_id"] == reserved]
    for query in (
        {"account_name": name},
        {"plan": "premium"},
        {"members": 7},
        {"reservation": "SWITCH_TO_PAID"},
        {"reservation_date_from": TOMORROW, "reservation_date_before": "9900-01-01"},
        {"next_deadline": shown["next_deadline"]},
        {"next_deadline_at_before": f"{TOMORROW}T00:00:01+09:00"},
    ):
        assert (await visitor.gets("/subscriptions", **query))["items"] == [shown], query
    none: tuple[dict[str, Any], ...] = (
        {"term": "ANNUAL"},
        {"access": "NONE"},
        {"contract_to_from": "2020-01-01"},
        {"trial_ends_at_before": "2020-01-01T00:00:00+09:00"},
        {"reservation_date_before": TOMORROW},
    )
    for query in none:
        assert (await visitor.gets("/subscriptions", **query))["items"] == [], query
    wrong: tuple[dict[str, Any], ...] = (
        {"access": "SOME"},
        {"trial_ends_at_from": "2027-01-01T00:00:00"},
        {"members": "many"},
    )
    for query in wrong:
        assert (await visitor.gets("/subscriptions", 422, **query))["code"] == "INVALID_ARGUMENT"
