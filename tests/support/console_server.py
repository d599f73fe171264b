"""The console on a port of its own, in front of a house."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import httpx
from starlette.applications import Starlette

from adapters.password_hashing import PasswordHashing
from adapters.postgres.pool import create_pool
from entrypoints.console.app import create_console
from entrypoints.console.settings import ConsoleSettings
from entrypoints.http.metrics import HttpMetrics
from entrypoints.http.request_log import ObservedRequests
from support.http_server import bind, serve_app
from support.service_env import ServiceEnv


@dataclass(frozen=True)
class ConsoleServer:
    """Where the console answers, the house behind it, and what it answers to."""

    service_env: ServiceEnv
    url: str
    app: Starlette
    metrics: HttpMetrics

    def browser(self, language: str = "en") -> httpx.AsyncClient:
        """A browser without a window: it keeps cookies and goes where it is sent."""
        return httpx.AsyncClient(
            base_url=self.url, follow_redirects=True, headers={"accept-language": language}, timeout=30
        )


@asynccontextmanager
async def run_console(
    service_env: ServiceEnv,
    settings: ConsoleSettings | None = None,
    *,
    hashing: PasswordHashing | None = None,
) -> AsyncIterator[ConsoleServer]:
    """Serve the console; without settings, as on a developer's own stack."""
    with bind("localhost") as place:
        settings = replace(settings or ConsoleSettings(url=place.url, embedded=True), url=place.url)
        async with create_pool(service_env.web_url, "worksub_console", connections=4) as pool:
            app = create_console(service_env.client, pool, settings, hashing=hashing)
            metrics = HttpMetrics("console")
            async with serve_app(ObservedRequests(app, metrics, "console"), place):
                yield ConsoleServer(service_env, place.url, app, metrics)
