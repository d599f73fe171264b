"""Idempotent requests (R9, R22), pagination, API keys and rate limits."""

import asyncio
import uuid
from datetime import datetime, timedelta

from support.api_client import ApiClient, ApiServer, open_api_server
from support.paused_workflows import paused
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv, unique_name

from adapters.postgres.pool import create_pool
from entrypoints.api.rate_limits import RateLimits
from starter.api_keys import ApiKeyStore
from starter.command_rate_limits import CommandRates
from subscription.business_calendar import KST

TODAY = datetime.now(KST).date().isoformat()
TOMORROW = (datetime.now(KST).date() + timedelta(days=1)).isoformat()


async def test_r9_concurrent_same_requests_create_one_subscription(
    service_env: ServiceEnv, acme: ApiClient
) -> None:
    body, key = acme.request_body(service_env), uuid.uuid4().hex
    answers = await gather_all(acme.posts("/subscriptions", body, 201, key=key) for _ in range(8))
    assert all(answer == answers[0] for answer in answers)
    other = {**body, "members": 11}
    assert (await acme.posts("/subscriptions", other, 422, key=key))["code"] == "REQUEST_ID_REUSED"


async def test_command_to_paused_subscription_is_accepted_after_resume(
    service_env: ServiceEnv, acme: ApiClient
) -> None:
    subscription_id, key = await acme.requests(service_env), uuid.uuid4().hex
    path, switch = f"/subscriptions/{subscription_id}/switch-to-paid", {"date": TOMORROW, "term": "ANNUAL"}
    async with paused(service_env.temporal, subscription_id):
        refused = await acme.posts(path, switch, 409, key=key)
        assert (refused["code"], refused["status"]) == ("WORKFLOW_PAUSED", 409)
        assert (await acme.gets(f"/subscriptions/{subscription_id}"))["state"] == "TRIAL"
    await acme.posts(path, switch, key=key)


async def test_r22_repeated_command_runs_once(service_env: ServiceEnv, acme: ApiClient) -> None:
    there, key = f"/subscriptions/{await acme.requests(service_env)}", uuid.uuid4().hex
    switch = {"date": TOMORROW, "term": "ANNUAL"}
    first = await acme.posts(f"{there}/switch-to-paid", switch, key=key)
    assert await acme.posts(f"{there}/switch-to-paid", switch, key=f'"{key}"') == first
    other = {**switch, "term": "MONTHLY"}
    refused = await acme.posts(f"{there}/switch-to-paid", other, 422, key=key)
    assert refused["code"] == "COMMAND_ID_REUSED"
    assert (await acme.posts(f"{there}/withdraw-reservation", {}, 422, key=key))["code"] == refused["code"]
    assert len((await acme.gets(f"{there}/timeline"))["items"]) == 2


async def test_r22_operator_idempotency_keys_are_separate(
    service_env: ServiceEnv, acme: ApiClient, operator: ApiClient
) -> None:
    there, key = f"/subscriptions/{await acme.requests(service_env)}", uuid.uuid4().hex
    await acme.posts(f"{there}/switch-to-paid", {"date": TOMORROW, "term": "ANNUAL"}, key=key)
    await operator.posts(f"{there}/withdraw-reservation", {}, key=key)


async def test_every_write_requires_an_idempotency_key(service_env: ServiceEnv, acme: ApiClient) -> None:
    answer = await acme.http.post("/v1/subscriptions", json=acme.request_body(service_env))
    assert (answer.status_code, answer.json()["code"]) == (400, "IDEMPOTENCY_KEY_MISSING")
    for key in ("", "two words", "-first", "x" * 101):
        refused = await acme.posts("/subscriptions", {}, 400, **{"Idempotency-Key": key})
        assert refused["code"] == "INVALID_IDEMPOTENCY_KEY"


async def test_pages_list_each_item_once(service_env: ServiceEnv, api_server: ApiServer) -> None:
    visitor = await api_server.visitor(unique_name("C"))
    requested = {await visitor.requests(service_env) for _ in range(3)}
    found, cursor = [], None
    while True:
        page = await visitor.gets("/subscriptions", limit=1, **({"cursor": cursor} if cursor else {}))
        found += [item["subscription_id"] for item in page["items"]]
        if (cursor := page["next"]) is None:
            break
    assert found == sorted(requested)


async def test_api_key_is_valid_until_revoked(
    service_env: ServiceEnv, api_server: ApiServer, acme: ApiClient
) -> None:
    keys = api_server.keys
    created = await keys.create("C-keys", "billing")
    holder = await api_server.with_token(created.token)
    await holder.gets("/subscriptions")

    async def was_used() -> bool:
        [key] = [key for key in await keys.list("C-keys") if key.prefix == created.key.prefix]
        return key.last_used_at is not None

    await wait_for("the key's last use is recorded", was_used)
    turned = await keys.rotate(created.key.prefix, timedelta(hours=1))
    newer = await api_server.with_token(turned.token)
    await holder.gets("/subscriptions")
    await newer.gets("/subscriptions")
    await keys.revoke(created.key.prefix)
    assert (await holder.gets("/subscriptions", 401))["code"] == "UNAUTHENTICATED"
    await newer.gets("/subscriptions")
    lasting = await keys.create("C-keys", "", timedelta(milliseconds=1))
    brief = await api_server.with_token(lasting.token)
    await asyncio.sleep(0.01)
    await brief.gets("/subscriptions", 401)


async def test_invalid_api_key_is_unauthenticated(api_server: ApiServer, acme: ApiClient) -> None:
    created = await api_server.keys.create("C-keys", "")
    right = created.token
    other = right[:-1] + ("A" if right[-1] != "A" else "B")
    stranger = await api_server.with_token(None)
    for invalid in (b"", b"x", right[:-1].encode(), f"{right}x".encode(), other.encode(), b"\xff" * 58):
        headers = [(b"Authorization", b"Bearer " + invalid)] if invalid else []
        answer = await stranger.http.get("/v1/subscriptions", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_database_stores_only_api_key_hashes(service_env: ServiceEnv, api_server: ApiServer) -> None:
    created = await api_server.keys.create("C-keys", "")
    secret = created.token.split("_", 2)[2]  # the secret itself may contain underscores
    rows = await service_env.owner.fetch("SELECT api_keys::text AS row FROM api_keys")
    assert not [row for row in rows if secret in row["row"] or secret.encode().hex() in row["row"]]
    async with create_pool(service_env.api_url, "worksub_api", connections=1) as pool:
        assert await ApiKeyStore(pool).opening(created.token) is not None


async def test_rate_limited_caller_gets_429(service_env: ServiceEnv) -> None:
    async with open_api_server(service_env, rates=RateLimits("3/minute", "2/minute")) as api_server:
        eager, patient = await api_server.visitor("C-eager"), await api_server.visitor("C-patient")
        for _ in range(3):
            await eager.gets("/subscriptions")
        answer = await eager.http.get("/v1/subscriptions")
        assert (answer.status_code, answer.json()["code"]) == (429, "RATE_LIMITED")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        await patient.gets("/subscriptions")
        stranger = await api_server.with_token("nonsense")
        for status in (401, 401, 429):
            await stranger.gets("/subscriptions", status)
        await patient.gets("/subscriptions")


async def test_responses_have_rate_limit_headers(service_env: ServiceEnv) -> None:
    async with open_api_server(service_env, rates=RateLimits("2/minute", "1/minute")) as api_server:
        visitor = await api_server.visitor("C-counted")
        for path, status, left in (
            ("catalogue", 200, 1),
            ("invoices?month=x", 422, 0),
            ("catalogue", 429, 0),
        ):
            answer = await visitor.http.get(f"/v1/{path}")
            assert answer.status_code == status
            assert answer.headers["RateLimit-Policy"] == '"key";q=2;w=60'
            assert answer.headers["RateLimit"].startswith(f'"key";r={left};t=')
        stranger = await api_server.with_token("wsk_wrong")
        answer = await stranger.http.get("/v1/catalogue")
        assert answer.headers["RateLimit"].startswith('"address";r=0;t=')


async def test_replayed_response_is_marked(service_env: ServiceEnv, acme: ApiClient) -> None:
    async def send_command(path: str, body: object, key: str) -> str | None:
        answer = await acme.http.post(f"/v1{path}", json=body, headers={"Idempotency-Key": key})
        assert answer.is_success, answer.text
        there.append(answer.headers.get("Location", ""))
        replayed: str | None = answer.headers.get("Idempotent-Replayed")
        return replayed

    there: list[str] = []
    body, key = acme.request_body(service_env), uuid.uuid4().hex
    assert [await send_command("/subscriptions", body, key) for _ in range(2)] == [None, "true"]
    switch = {"date": TOMORROW, "term": "ANNUAL"}
    path = there[0].removeprefix("/v1") + "/switch-to-paid"
    assert [await send_command(path, switch, key) for _ in range(3)] == [None, "true", "true"]
    assert await send_command(path, {**switch, "term": "MONTHLY"}, uuid.uuid4().hex) is None


async def test_unchanged_resource_returns_304(service_env: ServiceEnv, acme: ApiClient) -> None:
    there = f"/v1/subscriptions/{await acme.requests(service_env)}"
    first = await acme.http.get(there)
    tag = first.headers["ETag"]
    for sent in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await acme.http.get(there, headers={"If-None-Match": sent})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
        assert again.headers["RateLimit"]
    assert (await acme.http.get(there, headers={"If-None-Match": '"other"'})).json() == first.json()
    await acme.posts(f"{there.removeprefix('/v1')}/switch-to-paid", {"date": TOMORROW, "term": "ANNUAL"})
    changed = await acme.http.get(there, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["reservation"]["date"]) == (200, TOMORROW)
    assert changed.headers["ETag"] != tag
    missing = await acme.http.get(f"{there}x", headers={"If-None-Match": "*"})
    assert missing.status_code == 404


async def test_flood_of_one_command_does_not_block_other_commands(service_env: ServiceEnv) -> None:
    async with open_api_server(service_env, command_rates=CommandRates("3/minute")) as api_server:
        eager, rival = await api_server.visitor("C-flooding"), await api_server.visitor("C-rival")
        mine = f"/subscriptions/{await eager.requests(service_env)}"
        for _ in range(5):  # another customer's subscription returns 404 and uses no quota
            await rival.posts(f"{mine}/check-domain", {}, 404)
        for _ in range(3):
            assert (await eager.posts(f"{mine}/check-domain", {}, 409))["code"] == "NO_PROOF_AWAITED"
        answer = await eager.http.post(
            f"/v1{mine}/check-domain", json={}, headers={"Idempotency-Key": uuid.uuid4().hex}
        )
        assert (answer.status_code, answer.json()["code"]) == (429, "RATE_LIMITED")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        await eager.posts(f"{mine}/switch-to-paid", {"date": TODAY, "term": "ANNUAL"})
