"""Bounded HTTP server in threads of its own, for health and metrics."""

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

_log = logging.getLogger("worksub")


@dataclass(frozen=True)
class Limits:
    """A connection is for one request. `idle_seconds` bound each read, `connection_seconds` all of it."""

    connections: int = 32
    idle_seconds: float = 6
    connection_seconds: float = 12
    head_bytes: int = 16_384


@dataclass(frozen=True)
class Answer:
    status: HTTPStatus
    content_type: str
    body: bytes


_USUAL_LIMITS = Limits()


class _Head(io.BufferedIOBase):
    """The lines of a request, up to so many bytes of all of them together."""

    def __init__(self, lines: io.BufferedIOBase, left: int) -> None:
        super().__init__()
        self._lines = lines
        self._left = left

    def readline(self, size: int | None = -1, /) -> bytes:
        if self._left <= 0:
            raise http.client.HTTPException("The head of the request is too long")
        line = self._lines.readline(min(self._left, size if size and size > 0 else self._left))
        self._left -= len(line)
        return line

    def close(self) -> None:
        self._lines.close()
        super().close()


@asynccontextmanager
async def internally_served(
    host: str, port: int, answer_for: Callable[[str], Answer], *, limits: Limits = _USUAL_LIMITS
) -> AsyncIterator[None]:
    """Answer GET requests by their path while in this block; raises `OSError` if nothing can listen there.

    `answer_for` runs in a thread of its own, so it may wait, and an event loop that hangs stops nothing.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = limits.idle_seconds

        def setup(self) -> None:
            super().setup()
            self.rfile = cast(io.BufferedReader, _Head(self.rfile, limits.head_bytes))

        def handle(self) -> None:
            # `timeout` bounds each read; a client that sends a byte now and then is bounded by this.
            ending = threading.Timer(limits.connection_seconds, self._hang_up)
            ending.daemon = True
            ending.start()
            try:
                super().handle()
            except (OSError, ValueError):  # the client has gone, or was too slow
                self.close_connection = True
            finally:
                ending.cancel()

        def _hang_up(self) -> None:
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
            """Log nothing: tools ask every few seconds."""

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
            _log.warning("A request to an internal server has failed.", exc_info=True)

    with Server((host, port), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,))
        serving.start()
        try:
            yield
        finally:
            await asyncio.to_thread(server.shutdown)
            serving.join()
