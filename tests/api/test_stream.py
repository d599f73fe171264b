"""The event stream: resume, keep-alive, end on erasure, and survival of a database restart."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta

import httpx
from support.api_client import ApiClient, ApiServer, open_api_server
from support.polling import wait_for
from support.service_env import ServiceEnv
from support.tcp_proxy import TcpProxy

from subscription.business_calendar import KST
from subscription.contract import ContractTerm

TODAY = datetime.now(KST).date().isoformat()
TOMORROW = (datetime.now(KST).date() + timedelta(days=1)).isoformat()


class EventStreamReader:
    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def next_value(self, field: str) -> str:
        """Return the next value of this field. Comment lines have none."""
        async for line in self._lines:
            name, separator, value = line.partition(":")
            if separator and name == field:
                return value.strip()
        return "the end"


@asynccontextmanager
async def open_reader(
    visitor: ApiClient, subscription_id: str, after: str | None = None
) -> AsyncIterator[EventStreamReader]:
    headers = {"Last-Event-ID": after} if after else {}
    path = f"/v1/subscriptions/{subscription_id}/events"
    async with visitor.http.stream("GET", path, headers=headers) as answer:
        yield EventStreamReader(answer)


async def test_stream_delivers_resumes_and_ends_on_erasure(service_env: ServiceEnv, acme: ApiClient) -> None:
    subscription_id = await acme.requests(service_env)
    there = f"/subscriptions/{subscription_id}"
    async with open_reader(acme, subscription_id) as listener:
        assert listener.answer.headers["content-type"].startswith("text/event-stream")
        assert await listener.next_value("event") == "TRIAL_STARTED"
        assert json.loads(await listener.next_value("data"))["sequence"] == 1
        await acme.posts(f"{there}/switch-to-paid", {"date": TODAY, "term": "ANNUAL"})
        assert await listener.next_value("event") == "SWITCHED_TO_PAID"
    account = (await acme.gets(there))["account"]
    async with open_reader(acme, subscription_id, after="1") as listener:
        assert await listener.next_value("id") == "2"
        await acme.posts(f"{there}/cancel", {"date": TODAY, "confirmation": account})
        assert [await listener.next_value("event") for _ in range(2)] == ["CANCELED", "ERASED"]
        assert await listener.next_value("event") == "the end"
    async with open_reader(acme, subscription_id, after="4") as listener:
        assert listener.answer.status_code == 204


async def test_stream_sends_keepalives_and_survives_database_restart(service_env: ServiceEnv) -> None:
    async with TcpProxy() as proxy:
        url = proxy.leads_to_database(service_env.api_url)
        behind = service_env.api_url.rpartition("@")[2].partition("/")[0]
        async with open_api_server(service_env, database_url=url, heartbeat=0.2) as api_server:
            visitor = await api_server.visitor("C-stream")
            subscription_id = await visitor.requests(service_env)
            async with open_reader(visitor, subscription_id) as listener:
                assert await listener.next_value("event") == "TRIAL_STARTED"
                proxy.closes()
                assert await listener.next_value("") == "nothing new"
                proxy.leads_to(behind)
                await service_env.client.switch_to_paid(
                    subscription_id, datetime.now(KST).date(), ContractTerm.ANNUAL
                )
                assert await listener.next_value("event") == "SWITCHED_TO_PAID"


async def test_stream_ends_when_its_key_is_revoked(
    service_env: ServiceEnv, api_server: ApiServer, operator: ApiClient
) -> None:
    for end in (api_server.keys.revoke, lambda prefix: api_server.keys.rotate(prefix, timedelta())):
        subscription_id = await operator.requests(service_env, customer_id="C-leaver")
        created = await api_server.keys.create("C-leaver", "leaves")
        visitor = await api_server.with_token(created.token, "C-leaver")
        async with open_reader(visitor, subscription_id) as listener:
            assert await listener.next_value("event") == "TRIAL_STARTED"
            await end(created.key.prefix)
            await operator.posts(
                f"/subscriptions/{subscription_id}/switch-to-paid", {"date": TOMORROW, "term": "ANNUAL"}
            )
            assert await listener.next_value("event") == "closed"
            assert json.loads(await listener.next_value("data"))["code"] == "UNAUTHENTICATED"
            assert await listener.next_value("event") == "the end"


async def test_stream_ends_when_its_key_expires(service_env: ServiceEnv, api_server: ApiServer) -> None:
    created = await api_server.keys.create("C-expires", "expires", timedelta(hours=1))
    visitor = await api_server.with_token(created.token, "C-expires")
    subscription_id = await visitor.requests(service_env)
    async with open_reader(visitor, subscription_id) as listener:
        assert await listener.next_value("event") == "TRIAL_STARTED"
        await service_env.owner.execute(
            "UPDATE api_keys SET expires_at = clock_timestamp() WHERE prefix = $1", created.key.prefix
        )
        assert await listener.next_value("event") == "closed"
        assert await listener.next_value("event") == "the end"


async def test_stream_ends_when_customer_loses_the_subscription(
    service_env: ServiceEnv, api_server: ApiServer
) -> None:
    visitor = await api_server.visitor("C-loses")
    subscription_id = await visitor.requests(service_env)
    async with open_reader(visitor, subscription_id) as listener:
        assert await listener.next_value("event") == "TRIAL_STARTED"
        moved = "UPDATE subscriptions SET customer_id = $2 WHERE subscription_id = $1"
        await service_env.owner.execute(moved, subscription_id, "C-gains")
        assert await listener.next_value("event") == "closed"
        assert json.loads(await listener.next_value("data"))["code"] == "SUBSCRIPTION_NOT_FOUND"
        assert await listener.next_value("event") == "the end"
        await service_env.owner.execute(moved, subscription_id, "C-loses")


async def test_streams_per_key_are_limited(service_env: ServiceEnv, api_server: ApiServer) -> None:
    visitor = await api_server.visitor("C-many")
    subscription_id = await visitor.requests(service_env)
    async with AsyncExitStack() as open_streams:
        # Keep a reference: httpx closes a response that is garbage-collected.
        listeners = [
            await open_streams.enter_async_context(open_reader(visitor, subscription_id)) for _ in range(20)
        ]
        assert {await listener.next_value("event") for listener in listeners} == {"TRIAL_STARTED"}
        refused = await visitor.gets(f"/subscriptions/{subscription_id}/events", 429)
        assert refused["code"] == "RATE_LIMITED"

    async def is_free() -> bool:
        async with open_reader(visitor, subscription_id) as listener:
            return listener.answer.status_code == 200

    await wait_for("closed streams are not counted", is_free)


async def test_invalid_last_event_id_is_refused(service_env: ServiceEnv, acme: ApiClient) -> None:
    subscription_id = await acme.requests(service_env)
    for wrong in ("soon", "-1", str(2**40)):
        answer = await acme.http.get(
            f"/v1/subscriptions/{subscription_id}/events", headers={"Last-Event-ID": wrong}
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_ARGUMENT")


async def test_concurrent_streams_respect_limit_and_release_slots(
    service_env: ServiceEnv, api_server: ApiServer
) -> None:
    visitor = await api_server.visitor("C-burst")
    subscription_id = await visitor.requests(service_env)
    prefix = visitor.http.headers["authorization"].split("_")[1]
    path = f"/v1/subscriptions/{subscription_id}/events"
    requests = [visitor.http.build_request("GET", path) for _ in range(41)]
    opened = await asyncio.gather(*(visitor.http.send(request, stream=True) for request in requests))
    assert Counter(answer.status_code for answer in opened) == {200: 20, 429: 21}
    for answer in opened:
        await answer.aclose()

    async def all_are_closed() -> bool:
        return api_server.service.streams[prefix] == 0

    await wait_for("all streams are closed", all_are_closed)
