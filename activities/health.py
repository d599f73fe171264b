"""The worker's health over HTTP: `/livez` says that it runs, `/readyz` whether it can do its work."""

import asyncio
import json
import logging
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.database import FAILING, Pool

_PATIENCE_SECONDS = 3.0
_LOOP_PATIENCE_SECONDS = 2 * _PATIENCE_SECONDS
_LOOK_SECONDS = 0.1
_CONNECTION_SECONDS = 2 * _LOOP_PATIENCE_SECONDS
_MOST_CONNECTIONS = 32

_log = logging.getLogger("worksub")

Problems = Mapping[str, str]


class Health:
    """What readiness is judged by; whoever connects and starts the worker fills it in."""

    client: Client | None = None
    pool: Pool | None = None
    worker: Worker | None = None
    stopping = False

    async def problems(self) -> Problems:
        """What keeps the worker from working, by what it concerns; nothing when it is ready."""
        temporal, database = await asyncio.gather(self._temporal(), self._database())
        found = {"Temporal": temporal, "PostgreSQL": database, "worker": self._worker()}
        return {what: problem for what, problem in found.items() if problem}

    async def _temporal(self) -> str | None:
        if self.client is None:
            return "it is waited for"
        request = DescribeNamespaceRequest(namespace=self.client.namespace)
        return await _problem_of(self.client.workflow_service.describe_namespace(request))

    async def _database(self) -> str | None:
        return "it is waited for" if self.pool is None else await _problem_of(self.pool.fetchval("SELECT 1"))

    def _worker(self) -> str | None:
        if self.stopping:
            return "it finishes what it has begun, and stops"
        return None if self.worker and self.worker.is_running else "it does not ask for work"


async def _problem_of(attempt: Awaitable[Any]) -> str | None:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await attempt
    except RPCError as error:
        return f"it answers {error.status.name}"
    except FAILING as error:
        return f"it does not answer ({type(error).__name__})"
    return None


async def _nothing() -> Problems:
    return {}


@asynccontextmanager
async def health_served(host: str, port: int, health: Health) -> AsyncIterator[None]:
    """Answer over HTTP while in this block; raises `OSError` if nothing can listen there.

    It answers from threads of its own, so that an event loop that hangs is noticed.
    """
    loop = asyncio.get_running_loop()
    asked: Mapping[str, Callable[[], Any]] = {"/livez": _nothing, "/readyz": health.problems}

    class Answering(BaseHTTPRequestHandler):
        timeout = _LOOP_PATIENCE_SECONDS

        def handle(self) -> None:
            # `timeout` bounds each read; a client that sends a byte now and then is bounded by this.
            ending = threading.Timer(_CONNECTION_SECONDS, self._hang_up)
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
            problems = asked.get(self.path)
            if problems is None:
                self._answer(HTTPStatus.NOT_FOUND, {"paths": list(asked)})
                return
            try:
                found = asyncio.run_coroutine_threadsafe(problems(), loop).result(_LOOP_PATIENCE_SECONDS)
            except TimeoutError:
                found = {"worker": "its event loop hangs"}
            status = HTTPStatus.SERVICE_UNAVAILABLE if found else HTTPStatus.OK
            self._answer(status, {"well": not found, "problems": found})

        def _answer(self, status: HTTPStatus, document: Mapping[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody wants to read of every look."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True
        block_on_close = False
        free = threading.BoundedSemaphore(_MOST_CONNECTIONS)

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
            _log.warning("A request to the health server has failed.", exc_info=True)

    with Server((host, port), Answering) as server:
        serving = threading.Thread(target=server.serve_forever, args=(_LOOK_SECONDS,))
        serving.start()
        try:
            yield
        finally:
            await asyncio.to_thread(server.shutdown)
            serving.join()
