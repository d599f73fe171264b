"""Applications that answer over HTTP, each at a port of its own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

from starlette.types import ASGIApp

from activities.settings import Address
from starter.http_serving import HttpServer, listening


class Port(NamedTuple):
    opened: socket.socket
    url: str


@contextmanager
def free_port(host: str = "127.0.0.1") -> Iterator[Port]:
    """A port for an application that must know its URL before it answers."""
    with listening(Address(host, 0), "a test") as opened:
        yield Port(opened, f"http://{Address(host, opened.getsockname()[1])}")


@asynccontextmanager
async def answering(app: ASGIApp, port: Port) -> AsyncIterator[None]:
    server = HttpServer(app, drain_seconds=1)
    serving = asyncio.create_task(server.serve(sockets=[port.opened]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
