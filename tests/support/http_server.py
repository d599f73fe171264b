"""ASGI applications served over HTTP in this process, each at its own address, and clients for them."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

import httpx
from starlette.types import ASGIApp

from adapters.settings import HostPort
from entrypoints.http.protocol import HttpLimits
from entrypoints.http.server import HttpServer, bind_socket

_DRAIN_SECONDS = 1
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class BoundSocket(NamedTuple):
    opened: socket.socket
    url: str


def http_client(url: str = "", **options: Any) -> httpx.AsyncClient:
    """Return a client of a server without TLS. By default httpx loads all CA certificates for each client."""
    return httpx.AsyncClient(base_url=url, verify=_NO_CERTIFICATES, **options)


@contextmanager
def bind(host: str = "127.0.0.1", port: int = 0) -> Iterator[BoundSocket]:
    """Bind a free port, or this one, for an application that must know its URL before it is served."""
    with bind_socket(HostPort(host, port), "a test") as opened:
        yield BoundSocket(opened, f"http://{HostPort(host, opened.getsockname()[1])}")


@asynccontextmanager
async def serve_app(app: ASGIApp, place: BoundSocket, **options: HttpLimits) -> AsyncIterator[None]:
    server = HttpServer(app, drain_seconds=_DRAIN_SECONDS, **options)
    serving = asyncio.create_task(server.serve(sockets=[place.opened]))
    try:
        yield
    finally:
        server.stop()
        await serving


@asynccontextmanager
async def served(app: ASGIApp, *, port: int = 0, **options: HttpLimits) -> AsyncIterator[str]:
    """Serve the application; yield its URL."""
    with bind(port=port) as place:
        async with serve_app(app, place, **options):
            yield place.url
