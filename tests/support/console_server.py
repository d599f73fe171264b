"""The console of a service environment, on its own port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
from starlette.applications import Starlette

from adapters.password_hashing import PasswordHashing
from adapters.postgres.pool import create_pool
from entrypoints.console.app import create_console
from entrypoints.console.settings import ConsoleSettings
from entrypoints.http.metrics import HttpMetrics
from entrypoints.http.request_log import ObservedRequests
from starter.client import SubscriptionClient
from starter.exports import SubscriptionExports
from support.http_server import bind, http_client, serve_app
from support.service_env import ServiceEnv
from support.subscription_driver import SubscriptionDriver

_FAILURE_STEP_SECONDS = 0.1


@dataclass(frozen=True)
class ConsoleServer:
    """A running console: its service environment, URL, application and metrics."""

    service_env: ServiceEnv
    url: str
    app: Starlette
    metrics: HttpMetrics

    def browser(self, language: str = "en") -> httpx.AsyncClient:
        """Return an HTTP client that keeps cookies and follows redirects."""
        return http_client(self.url, follow_redirects=True, headers={"accept-language": language}, timeout=30)

    async def annual(self, **changes: Any) -> SubscriptionDriver:
        """Return a subscription with an annual contract that begins today, by the real clock."""
        subscription = await self.service_env.requested(**changes)
        await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="ANNUAL")
        return subscription


@asynccontextmanager
async def run_console(
    service_env: ServiceEnv,
    settings: ConsoleSettings | None = None,
    *,
    hashing: PasswordHashing | None = None,
    client: SubscriptionClient | None = None,
) -> AsyncIterator[ConsoleServer]:
    """Serve the console; without settings, as on the local stack of a developer.

    `client` replaces the client of the service environment.
    """
    with bind("localhost") as place:
        settings = replace(settings or ConsoleSettings(url=place.url, developer_sign_in=True), url=place.url)
        async with (
            create_pool(service_env.api_url, "worksub_console", connections=4) as pool,
            create_pool(service_env.api_url, "worksub_exporter", connections=2) as exporting,
        ):
            app = create_console(
                client or service_env.client,
                pool,
                SubscriptionExports(exporting),
                settings,
                hashing=hashing,
                failure_step=_FAILURE_STEP_SECONDS,
            )
            metrics = HttpMetrics("console")
            async with serve_app(ObservedRequests(app, metrics, "console"), place):
                yield ConsoleServer(service_env, place.url, app, metrics)
