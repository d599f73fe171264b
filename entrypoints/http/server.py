"""Shared uvicorn server: bind before start, no signal handlers, no access log."""

import functools
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from adapters.settings import HostPort, SettingsError
from entrypoints.http.protocol import BoundedProtocol, HttpLimits
from entrypoints.http.request_guard import HttpGuard

_USUAL_LIMITS = HttpLimits()


class HttpServer(uvicorn.Server):
    """It logs nothing of its own: its lines would have whatever a caller has put into an address.

    `drain_seconds` is what answers under way are given once it shall stop.
    """

    def __init__(self, app: ASGIApp, *, drain_seconds: int, limits: HttpLimits = _USUAL_LIMITS) -> None:
        protocol: Any = functools.partial(BoundedProtocol, limits=limits)
        super().__init__(
            uvicorn.Config(
                HttpGuard(app),
                http=protocol,
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=drain_seconds,
                lifespan="off",
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are for whoever runs this server."""
        yield


@contextmanager
def bind_socket(address: HostPort, setting: str) -> Iterator[socket.socket]:
    """A socket at the address while in this block; raises `SettingsError`, which names the setting."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        opened = socket.create_server(address, family=family)
    except OSError as error:
        raise SettingsError(f"{setting}: nothing can listen on {address}: {error.strerror}.") from None
    # asyncio does so for sockets that it makes itself; without, an answer waits 40 ms for its own headers.
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with opened:
        yield opened
