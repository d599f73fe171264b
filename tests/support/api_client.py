"""The API of a service environment on its own port, and clients for it."""

import json
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from adapters.postgres.pool import create_pool
from adapters.postgres.workspace_exporter import WorkspaceExporter
from entrypoints.api.app import create_app
from entrypoints.api.app_state import AppState
from entrypoints.api.rate_limits import RateLimits
from starter.api_keys import ApiKeyStore
from starter.client import SubscriptionClient
from starter.command_rate_limits import CommandRates
from starter.exports import SubscriptionExports
from support.http_server import http_client, served
from support.service_env import ServiceEnv
from support.subscription_driver import SubscriptionDriver

DESCRIPTION = Path(__file__).parents[2] / "docs" / "openapi.json"
BODY_FIELDS_OF_ITS_OWN = ("request_id", "customer_id")


@cache
def api_description() -> Any:
    """Return the committed OpenAPI description; `tests/docs/test_api.py` compares it with the routes.

    Generating it takes long, and every test process needs it to collect the tests.
    """
    return json.loads(DESCRIPTION.read_text(encoding="utf-8"))


@cache
def _operations() -> Mapping[tuple[str, re.Pattern[str]], Mapping[str, frozenset[str]]]:
    """Return the documented codes by status of each operation: its method, and a pattern for its path."""
    return {
        (method.upper(), re.compile(re.sub(r"\\{[^/]+\\}", "[^/]+", re.escape(path)))): {
            status: frozenset(
                code for media in response.get("content", {}).values() for code in media.get("examples", ())
            )
            for status, response in operation["responses"].items()
        }
        for path, item in api_description()["paths"].items()
        for method, operation in item.items()
        if "responses" in operation
    }


def _is_documented(answer: httpx.Response) -> bool:
    """Return whether the operation of a response has its status, and the code of a problem."""
    request, status = answer.request, str(answer.status_code)
    for (method, path), documented in _operations().items():
        if method == request.method and path.fullmatch(request.url.path):
            return status in documented and (status < "400" or answer.json()["code"] in documented[status])
    return answer.status_code in (404, 405)


class ApiClient:
    """A client with an API key. It checks that every response is documented: a success or a problem."""

    def __init__(self, http: httpx.AsyncClient, customer_id: str | None) -> None:
        self.http = http
        self.customer_id = customer_id

    async def gets(self, path: str, status: int = 200, **query: Any) -> Any:
        return _looked_at(await self.http.get(f"/v1{path}", params=query or None), status)

    async def posts(
        self, path: str, body: Any, status: int = 200, *, key: str | None = None, **headers: str
    ) -> Any:
        sent = {"Idempotency-Key": key or uuid.uuid4().hex, **headers}
        return _looked_at(await self.http.post(f"/v1{path}", json=body, headers=sent), status)

    async def requests(self, service_env: ServiceEnv, **changes: Any) -> str:
        """Request a subscription; return its ID."""
        answer = await self.posts("/subscriptions", self.request_body(service_env, **changes), 201)
        return str(answer["subscription_id"])

    def request_body(self, service_env: ServiceEnv, **changes: Any) -> dict[str, Any]:
        body = service_env.request_body(**changes)
        for name in BODY_FIELDS_OF_ITS_OWN:
            if name not in changes:
                del body[name]
        if self.customer_id is None and "customer_id" not in changes:
            body["customer_id"] = "C-1"
        return body


def _looked_at(answer: httpx.Response, status: int) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.headers["x-request-id"]
    assert answer.headers["ratelimit"]
    assert answer.headers["ratelimit-policy"]
    document = answer.json()
    assert _is_documented(answer), f"{answer.request.method} {answer.request.url}: {status} {document}"
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert (document["status"], document["request_id"]) == (status, answer.headers["x-request-id"])
        assert document["type"].endswith(document["code"])
        assert document["title"]
        assert document["detail"]
    return document


@dataclass
class ApiServer:
    """A running API at `url`."""

    service_env: ServiceEnv
    service: AppState
    keys: ApiKeyStore
    url: str
    visitors: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def visitor(self, customer_id: str | None) -> ApiClient:
        """Return a client with a new API key, of a customer or of an operator."""
        made = await self.keys.create(customer_id, "test")
        return await self.with_token(made.token, customer_id)

    async def with_token(self, token: str | None, customer_id: str | None = None) -> ApiClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        http = http_client(self.url, headers=headers, timeout=40)
        return ApiClient(await self.visitors.enter_async_context(http), customer_id)

    def subscription(self, subscription_id: str) -> SubscriptionDriver:
        return SubscriptionDriver(self.service_env.client, self.service_env.temporal, subscription_id, {})


_POLL_SECONDS = 0.05


@asynccontextmanager
async def open_api_server(
    service_env: ServiceEnv,
    *,
    database_url: str | None = None,
    rates: RateLimits | None = None,
    export_rates: CommandRates | None = None,
    product: WorkspaceExporter | None = None,
    **settings: Any,
) -> AsyncIterator[ApiServer]:
    """Serve the API; it connects to the database with `database_url`."""
    url = database_url or service_env.api_url
    async with (
        create_pool(url, "worksub_reader", connections=4) as reading,
        create_pool(url, "worksub_api", connections=2) as own,
        create_pool(url, "worksub_exporter", connections=4) as exporting,
        create_pool(service_env.reader_url, "worksub_admin", connections=1) as admin,
    ):
        service = AppState(
            temporal=service_env.temporal,
            reading=reading,
            client=SubscriptionClient(service_env.temporal, reading, task_queue=service_env.task_queue),
            own=own,
            keys=ApiKeyStore(own),
            rates=rates or RateLimits("100000/minute", "100000/minute"),
            exports=SubscriptionExports(exporting, product, export_rates),
            stream_poll_seconds=_POLL_SECONDS,
            **settings,
        )
        async with served(create_app(service)) as url:
            reception = ApiServer(service_env, service, ApiKeyStore(admin), url)
            try:
                async with reception.visitors:
                    yield reception
            finally:
                service.stopping.set()


def without(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}
