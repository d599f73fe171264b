"""Error responses of the API and their log records."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from asyncpg import InternalClientError
from support.api_client import ApiClient, ApiServer, api_description, open_api_server
from support.lock_waits import wait_for_blocked_sessions
from support.polling import wait_for
from support.service_env import PASSWORD, ServiceEnv
from support.tcp_proxy import TcpProxy
from temporalio.client import Client

from adapters.observability.logging import LogFormat, configure_logging
from dev_stack.postgres_server import API_LOGIN
from entrypoints.api.problem_details import ApiCode, status_of
from starter.api_keys import ApiKey, ApiKeyStore
from starter.client import SubscriptionClient
from subscription.refusals import RefusalCode


async def test_malformed_body_is_refused(acme: ApiClient) -> None:
    for content, media_type, status, code in (
        (b"{", "application/json", 400, "MALFORMED_JSON"),
        (b"\xff", "application/json", 400, "MALFORMED_JSON"),
        (b'{"a": NaN}', "application/json", 400, "MALFORMED_JSON"),
        (b'{"plan": "lite", "plan": "basic"}', "application/json", 400, "MALFORMED_JSON"),
        (b"[" * 30_000, "application/json", 400, "MALFORMED_JSON"),
        (b"plan=lite", "application/x-www-form-urlencoded", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"[1]", "application/json; charset=utf-8", 422, "INVALID_ARGUMENT"),
        (json.dumps({"\ud800": "\ud800"}).encode(), "application/json", 422, "REQUEST_REFUSED"),
        (b" " * 65_537, "application/json", 413, "PAYLOAD_TOO_LARGE"),
    ):
        headers = {"Idempotency-Key": "k", "Content-Type": media_type}
        answer = await acme.http.post("/v1/subscriptions", content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code), content[:20]
        assert answer.headers["content-type"] == "application/problem+json"


async def test_body_without_content_length_is_limited(acme: ApiClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 10_000

    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    answer = await acme.http.post("/v1/subscriptions", content=endless(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")


async def test_invalid_paths_and_queries_are_refused(acme: ApiClient) -> None:
    assert (await acme.gets("/nothing", 404))["code"] == "NOT_FOUND"
    assert (await acme.posts("/catalogue", {}, 405))["code"] == "METHOD_NOT_ALLOWED"
    refused = await acme.gets("/subscriptions", 422, limit=0, state="HAPPY")
    assert [(problem["field"], problem["code"]) for problem in refused["problems"]] == [
        ("state", "INVALID_VALUE"),
        ("limit", "INVALID_VALUE"),
    ]
    for odd in ("%00", "a%00b", "..%2f..", "x" * 300, "%ed%a0%80"):
        assert (await acme.gets(f"/subscriptions/{odd}", 404))["code"] in (
            "SUBSCRIPTION_NOT_FOUND",
            "NOT_FOUND",
        )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (method, path)
        for path, operations in api_description()["paths"].items()
        for method in operations
        if path.startswith("/v1/")
    ],
)
async def test_every_route_refuses_unknown_query_parameters(
    operator: ApiClient, method: str, path: str
) -> None:
    filled = re.sub(r"\{\w+\}", "1", path)
    for query, code, field in (
        ("sate=SUSPENDED", "UNKNOWN_PARAMETER", "sate"),
        ("=", "UNKNOWN_PARAMETER", ""),
        ("Limit=1", "UNKNOWN_PARAMETER", "Limit"),
    ):
        answer = await operator.http.request(method, f"{filled}?{query}")
        problem = answer.json()
        assert (answer.status_code, problem["code"], problem["field"]) == (400, code, field)


async def test_unknown_query_parameter_refusal_lists_known_ones(acme: ApiClient) -> None:
    refused = await acme.gets("/notices", 400, sate="WAITING")
    assert refused["detail"] == (
        "This path has no query parameter sate. Allowed: cursor, kind, limit, state, subscription_id."
    )
    assert (await acme.gets("/catalogue", 400, on="today"))["detail"].endswith("It has no query parameters.")
    answer = await acme.http.get("/v1/subscriptions?state=TRIAL&state=ACTIVE")
    assert (answer.status_code, answer.json()["code"]) == (400, "REPEATED_PARAMETER")


async def test_health_requires_no_api_key(api_server: ApiServer) -> None:
    stranger = (await api_server.with_token(None)).http
    assert (await stranger.get("/healthz")).json() == {"status": "ok", "checks": {}, "warnings": {}}

    async def is_ready() -> bool:
        return bool((await stranger.get("/readyz")).status_code == 200)

    # On a loaded machine, a check of the servers can exceed its three seconds.
    await wait_for("the API is ready", is_ready)
    assert "swagger" in (await stranger.get("/docs")).text


async def test_database_outage_is_reported_and_recovers(service_env: ServiceEnv) -> None:
    async with TcpProxy() as proxy:
        url = proxy.leads_to_database(service_env.api_url)
        behind = url.partition("@")[2] and service_env.api_url.rpartition("@")[2].partition("/")[0]
        async with open_api_server(service_env, database_url=url) as api_server:
            visitor = await api_server.visitor("C-outage")
            await visitor.gets("/subscriptions")
            proxy.closes()
            answer = await visitor.gets("/subscriptions", 503)
            assert answer["code"] == "DATABASE_UNREACHABLE"
            health = (await visitor.http.get("/readyz")).json()
            assert (health["status"], health["checks"]["temporal"]) == ("unavailable", "ok")
            assert health["checks"]["postgresql"].startswith("no response (")
            proxy.leads_to(behind)

            async def is_back() -> bool:
                return (await visitor.http.get("/v1/subscriptions")).status_code == 200

            await wait_for("the API responds again", is_back)


async def test_database_stop_during_query_is_retryable(service_env: ServiceEnv, acme: ApiClient) -> None:
    async with service_env.owner.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE api_keys")
        pending = asyncio.create_task(acme.gets("/subscriptions", 503))
        [pid] = await wait_for_blocked_sessions(service_env.owner)
        await service_env.owner.execute("SELECT pg_terminate_backend($1)", pid)
        assert (await pending)["code"] == "DATABASE_UNREACHABLE"
    await acme.gets("/subscriptions")


async def test_asyncpg_internal_error_is_retryable(
    service_env: ServiceEnv,
) -> None:
    class InternalErrorStore(ApiKeyStore):
        """Simulate an asyncpg internal error that can occur when the server dies under load."""

        async def opening(self, token: str) -> ApiKey | None:
            raise InternalClientError

    async with open_api_server(service_env) as api_server:
        visitor = await api_server.visitor("C-lost")
        object.__setattr__(api_server.service, "keys", InternalErrorStore(service_env.pool))
        assert (await visitor.gets("/subscriptions", 503))["code"] == "DATABASE_UNREACHABLE"


async def test_read_only_database_serves_reads(service_env: ServiceEnv) -> None:
    database = await service_env.owner.fetchval("SELECT current_database()")
    setting = f"ALTER ROLE {API_LOGIN} IN DATABASE {database}"
    await service_env.owner.execute(f"{setting} SET default_transaction_read_only = on")
    try:
        async with open_api_server(service_env) as api_server:
            await (await api_server.visitor("C-standby")).gets("/subscriptions")
    finally:
        await service_env.owner.execute(f"{setting} RESET default_transaction_read_only")


async def test_missing_worker_times_out(stack: object, service_env: ServiceEnv, temporal: Client) -> None:
    async with open_api_server(service_env, timeout_seconds=0.5) as api_server:
        service = api_server.service
        alone = SubscriptionClient(temporal, service.reading, task_queue="nobody-works-here")
        object.__setattr__(service, "client", alone)
        visitor = await api_server.visitor("C-alone")
        body = visitor.request_body(service_env)
        answer = await visitor.posts("/subscriptions", body, 504, key="once")
        assert answer["code"] == "TIMEOUT"


async def test_unhandled_exception_discloses_nothing(
    service_env: ServiceEnv, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_api_server(service_env) as api_server:
        visitor = await api_server.visitor("C-fault")
        object.__setattr__(api_server.service, "client", None)
        answer = await visitor.gets("/catalogue", 500)
        assert (answer["code"], answer["detail"]) == (
            "INTERNAL_ERROR",
            "Internal error. Report it with the request_id.",
        )


async def test_log_has_ids_and_codes_but_no_personal_data(
    service_env: ServiceEnv, api_server: ApiServer, acme: ApiClient, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    configure_logging(LogFormat.JSON)
    try:
        body = acme.request_body(service_env, company_name="Secret Company")
        headers = {"Idempotency-Key": "log-1", "X-Request-Id": "req-4711"}
        answer = await acme.http.post("/v1/subscriptions", json=body, headers=headers)
        assert answer.headers["x-request-id"] == "req-4711"
        await acme.http.post(
            "/v1/subscriptions", json={**body, "password": PASSWORD}, headers={"X-Request-Id": "a b"}
        )
        await acme.http.get("/v1/check-name", params={"group": body["account"]["group"]})
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    answered = [line for line in lines if line["message"] == "Request completed"]
    first = answered[0]
    assert (first["route"], first["status"], first["request_id"]) == ("/v1/subscriptions", 201, "req-4711")
    assert len(first["key"]) == 10
    assert answered[1]["request_id"] != "a b"
    for word in ("Secret", PASSWORD, body["account"]["group"], body["password_hash"], "1234-5678"):
        assert word not in json.dumps(lines, ensure_ascii=False)


def test_every_code_has_a_status() -> None:
    assert {status_of(code).value for code in (*RefusalCode, *ApiCode)} == {
        *(400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 429, 500, 503, 504)
    }


async def test_client_disconnect_during_body_is_no_server_error(acme: ApiClient) -> None:
    """A connection closed in the middle of the body is not logged as a server error."""

    async def cut() -> AsyncIterator[bytes]:
        yield b"{"
        raise httpx.WriteError("gone")

    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    with pytest.raises(httpx.WriteError):
        await acme.http.post("/v1/subscriptions", content=cut(), headers=headers)
    await acme.gets("/catalogue")
