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
    """uvicorn server without its own access log, which would contain paths and queries chosen by callers.

    `drain_seconds` is the time that requests in progress have to finish during shutdown.
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
