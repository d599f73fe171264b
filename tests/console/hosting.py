"""The console on a port of its own, in front of a house."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import httpx
import uvicorn
from service.house import House
from starlette.applications import Starlette

from activities.database import connected
from starter.console.app import create_console
from starter.console.settings import ConsoleSettings


@dataclass(frozen=True)
class Hosted:
    """Where the console answers, the house behind it, and what it answers to."""

    house: House
    url: str
    app: Starlette

    def browser(self, language: str = "en") -> httpx.AsyncClient:
        """A browser without a window: it keeps cookies and goes where it is sent."""
        return httpx.AsyncClient(
            base_url=self.url, follow_redirects=True, headers={"accept-language": language}, timeout=30
        )


@asynccontextmanager
async def hosted(house: House, settings: ConsoleSettings | None = None) -> AsyncIterator[Hosted]:
    """Serve the console; without settings, as on a developer's own stack."""
    listening = socket.create_server(("127.0.0.1", 0))
    # asyncio does so for sockets of its own; without, an answer waits 40 ms for its own headers.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    url = f"http://localhost:{listening.getsockname()[1]}"
    settings = ConsoleSettings(url=url, embedded=True) if settings is None else replace(settings, url=url)
    async with connected(house.web_url, "worksub_console", connections=4) as pool:
        app = create_console(house.client, pool, settings)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield Hosted(house, url, app)
        finally:
            server.should_exit = True
            await serving
