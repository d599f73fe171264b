"""Shutdown of the HTTP server: requests in progress finish, or are cancelled after the drain time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
from starlette.types import Receive, Scope, Send
from support.http_server import bind

from entrypoints.http.server import HttpServer


class HeldApp:
    """An application that answers after `release` is set."""

    def __init__(self) -> None:
        self.called, self.release, self.cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.called.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def serving(
    app: HeldApp, drain_seconds: int
) -> AsyncIterator[tuple[HttpServer, str, asyncio.Task[None]]]:
    with bind() as place:
        server = HttpServer(app, drain_seconds=drain_seconds)
        task = asyncio.create_task(server.serve(sockets=[place.opened]))
        try:
            yield server, place.url, task
        finally:
            server.stop()
            await task


async def test_stopping_server_finishes_requests_in_progress() -> None:
    app = HeldApp()
    async with serving(app, 60) as (server, url, stopped), httpx.AsyncClient() as client:
        answer = asyncio.create_task(client.get(url))
        await app.called.wait()
        server.stop()
        await has_stopped_listening(url)
        assert not stopped.done()
        app.release.set()
        assert (await answer).status_code == 200
        await stopped


async def has_stopped_listening(url: str) -> None:
    with suppress(ConnectionRefusedError):
        while True:
            _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.close()


async def test_requests_are_cancelled_after_the_drain_time() -> None:
    app = HeldApp()
    async with serving(app, 0) as (server, url, stopped), httpx.AsyncClient() as client:
        answer = asyncio.create_task(client.get(url))
        await app.called.wait()
        server.stop()
        await stopped
        await app.cancelled.wait()
        assert (await answer).status_code == 500


async def test_idle_connection_does_not_delay_the_shutdown() -> None:
    app = HeldApp()
    app.release.set()
    async with serving(app, 60) as (server, url, stopped), httpx.AsyncClient() as client:
        assert (await client.get(url)).status_code == 200  # the client keeps the connection
        server.stop()
        await stopped


async def test_server_stopped_before_its_start_serves_nothing() -> None:
    with bind() as place:
        server = HttpServer(HeldApp(), drain_seconds=60)
        server.stop()
        await server.serve(sockets=[place.opened])
