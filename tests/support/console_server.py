"""The console on a port of its own, in front of a house."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import httpx
from starlette.applications import Starlette

from adapters.password_hashing import PasswordHashing
from adapters.postgres.pool import connected
from entrypoints.console.app import create_console
from entrypoints.console.settings import ConsoleSettings
from entrypoints.http.metrics import HttpMetrics
from entrypoints.http.request_log import ObservedRequests
from support.http_server import a_place, answering
from support.service_env import House


@dataclass(frozen=True)
class Hosted:
    """Where the console answers, the house behind it, and what it answers to."""

    house: House
    url: str
    app: Starlette
    metrics: HttpMetrics

    def browser(self, language: str = "en") -> httpx.AsyncClient:
        """A browser without a window: it keeps cookies and goes where it is sent."""
        return httpx.AsyncClient(
            base_url=self.url, follow_redirects=True, headers={"accept-language": language}, timeout=30
        )


@asynccontextmanager
async def hosted(
    house: House, settings: ConsoleSettings | None = None, *, hashing: PasswordHashing | None = None
) -> AsyncIterator[Hosted]:
    """Serve the console; without settings, as on a developer's own stack."""
    with a_place("localhost") as place:
        settings = replace(settings or ConsoleSettings(url=place.url, embedded=True), url=place.url)
        async with connected(house.web_url, "worksub_console", connections=4) as pool:
            app = create_console(house.client, pool, settings, hashing=hashing)
            metrics = HttpMetrics("console")
            async with answering(ObservedRequests(app, metrics, "console"), place):
                yield Hosted(house, place.url, app, metrics)
