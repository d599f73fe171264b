"""Shared uvicorn server: bind before start, no signal handlers, no access log."""

import asyncio
import functools
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from adapters.settings import HostPort
from adapters.settings_error import SettingsError
from entrypoints.http.protocol import BoundedProtocol, HttpLimits
from entrypoints.http.request_guard import HttpGuard

_DEFAULT_LIMITS = HttpLimits()
# uvicorn renews the Date header of its responses at each tenth tick.
_TICKS_PER_DATE = 10
_DATE_SECONDS = 1.0

_log = logging.getLogger(__name__)


class HttpServer(uvicorn.Server):
    """uvicorn server without its own access log, which would contain paths and queries chosen by callers.

    It waits for the call of `stop` and for the end of connections; uvicorn polls for both ten times a second.
    `drain_seconds` is the time that requests in progress have to finish during shutdown.
    """

    def __init__(self, app: ASGIApp, *, drain_seconds: int, limits: HttpLimits = _DEFAULT_LIMITS) -> None:
        protocol: Any = functools.partial(BoundedProtocol, limits=limits)
        super().__init__(
            uvicorn.Config(
                HttpGuard(app),
                http=protocol,
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=limits.idle_seconds,
                timeout_graceful_shutdown=drain_seconds,
                lifespan="off",
            )
        )
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Begin the shutdown. `serve` returns when the requests in progress have finished."""
        self.should_exit = True
        self._stopping.set()

    async def main_loop(self) -> None:
        """Run until `stop` is called."""
        tick = 0
        while not await self.on_tick(tick):
            tick += _TICKS_PER_DATE
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _DATE_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, close idle connections, and wait for the others until the drain time is over."""
        for server in self.servers:
            server.close()
        for listening in sockets or ():
            listening.close()
        connections = [cast(BoundedProtocol, each) for each in self.server_state.connections]
        requests = self.server_state.tasks
        for connection in connections:
            connection.shutdown()
        try:
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                for connection in connections:
                    await connection.closed.wait()
                while requests:  # a request can run on after its client has disconnected
                    await asyncio.wait(requests)
                for server in self.servers:
                    await server.wait_closed()
        except TimeoutError:
            _log.warning("requests cancelled at shutdown", extra={"fields": {"requests": len(requests)}})
            for request in requests:
                request.cancel()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers; the process that runs this server handles signals."""
        yield


@contextmanager
def bind_socket(address: HostPort, setting: str) -> Iterator[socket.socket]:
    """Bind a listening socket for the duration of the block.

    Raises `SettingsError`, which names the setting, if the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        opened = socket.create_server(address, family=family)
    except OSError as error:
        raise SettingsError(f"{setting}: cannot listen on {address}: {error.strerror}.") from None
    # asyncio sets TCP_NODELAY only on sockets that it creates. Without it, Nagle's algorithm delays the body
    # of a response by 40 ms.
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with opened:
        yield opened
