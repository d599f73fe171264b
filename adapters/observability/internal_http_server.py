"""Threaded HTTP server with fixed limits, for health and metrics."""

import asyncio
import http.client
import io
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

_POLL_SECONDS = 0.1

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """Limits of the server. A connection serves one request.

    `idle_seconds` limits each read, `connection_seconds` the whole connection.
    """

    connections: int = 32
    idle_seconds: float = 6
    connection_seconds: float = 12
    head_bytes: int = 16_384


@dataclass(frozen=True)
class Answer:
    status: HTTPStatus
    content_type: str
    body: bytes


_DEFAULT_LIMITS = Limits()


class _Head(io.BufferedIOBase):
    """Reader of the request head with a limit on its total size in bytes."""

    def __init__(self, lines: io.BufferedIOBase, left: int) -> None:
        super().__init__()
        self._lines = lines
        self._left = left

    def readline(self, size: int | None = -1, /) -> bytes:
        if self._left <= 0:
            raise http.client.HTTPException("Request head too large")
        line = self._lines.readline(min(self._left, size if size and size > 0 else self._left))
        self._left -= len(line)
        return line

    def close(self) -> None:
        self._lines.close()
        super().close()


@asynccontextmanager
async def serve_internal_http(
    host: str, port: int, answer_for: Callable[[str], Answer], *, limits: Limits = _DEFAULT_LIMITS
) -> AsyncIterator[None]:
    """Serve GET requests by path until the context exits; raises `OSError` if the address is unusable.

    `answer_for` runs in a separate thread. It may block, and a blocked event loop does not stop the server.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = limits.idle_seconds

        def setup(self) -> None:
            super().setup()
            self.rfile = cast(io.BufferedReader, _Head(self.rfile, limits.head_bytes))

        def handle(self) -> None:
            # `timeout` limits each read only. This timer stops clients that send single bytes (slowloris).
            timer = threading.Timer(limits.connection_seconds, self._disconnect)
            timer.daemon = True
            timer.start()
            try:
                super().handle()
            except (OSError, ValueError):  # the client disconnected or was too slow
                self.close_connection = True
            finally:
                timer.cancel()

        def _disconnect(self) -> None:
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

        def do_GET(self) -> None:
            answer = answer_for(self.path.partition("?")[0])
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing, because monitoring tools send a request every few seconds."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True
        block_on_close = False
        free = threading.BoundedSemaphore(limits.connections)

        def process_request(self, request: Any, client_address: Any) -> None:
            if self.free.acquire(blocking=False):
                super().process_request(request, client_address)
            else:
                self.shutdown_request(request)

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                super().process_request_thread(request, client_address)
            finally:
                self.free.release()

        def handle_error(self, request: Any, client_address: Any) -> None:
            _log.warning("Request to an internal HTTP server failed", exc_info=True)

    with Server((host, port), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,))
        serving.start()
        try:
            yield
        finally:
            await asyncio.to_thread(server.shutdown)
            serving.join()
