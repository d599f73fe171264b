"""Health endpoint of the worker: liveness (`/livez`) and readiness (`/readyz`)."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from adapters.observability.internal_http_server import Answer, serve_internal_http
from adapters.postgres.pool import DATABASE_ERRORS, Pool

_TIMEOUT_SECONDS = 3.0
_LOOP_TIMEOUT_SECONDS = 2 * _TIMEOUT_SECONDS

Problems = Mapping[str, str]


class WorkerHealth:
    """Inputs of the readiness check; the worker sets them as it connects and starts."""

    client: Client | None = None
    pool: Pool | None = None
    worker: Worker | None = None
    stopping = False

    async def problems(self) -> Problems:
        """Return the failed checks, each with its reason; an empty mapping means ready."""
        temporal, database = await asyncio.gather(self._temporal(), self._database())
        checks = {"Temporal": temporal, "PostgreSQL": database, "worker": self._worker()}
        return {name: problem for name, problem in checks.items() if problem}

    async def _temporal(self) -> str | None:
        if self.client is None:
            return "not connected yet"
        request = DescribeNamespaceRequest(namespace=self.client.namespace)
        return await _problem_of(self.client.workflow_service.describe_namespace(request))

    async def _database(self) -> str | None:
        return "not connected yet" if self.pool is None else await _problem_of(self.pool.fetchval("SELECT 1"))

    def _worker(self) -> str | None:
        if self.stopping:
            return "shutting down"
        return None if self.worker and self.worker.is_running else "not polling for tasks"


async def _problem_of(attempt: Awaitable[Any]) -> str | None:
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            await attempt
    except RPCError as error:
        return f"it answers {error.status.name}"
    except DATABASE_ERRORS as error:
        return f"it does not answer ({type(error).__name__})"
    return None


async def _nothing() -> Problems:
    return {}


@asynccontextmanager
async def serve_health(host: str, port: int, health: WorkerHealth) -> AsyncIterator[None]:
    """Serve the health endpoint until the context exits; raises `OSError` if the address is unusable.

    The server runs in its own threads, so that it can report a blocked event loop.
    """
    loop = asyncio.get_running_loop()
    checks: Mapping[str, Callable[[], Any]] = {"/livez": _nothing, "/readyz": health.problems}

    def answer_for(path: str) -> Answer:
        check = checks.get(path)
        if check is None:
            return _json(HTTPStatus.NOT_FOUND, {"paths": list(checks)})
        try:
            problems = asyncio.run_coroutine_threadsafe(check(), loop).result(_LOOP_TIMEOUT_SECONDS)
        except TimeoutError:
            problems = {"worker": "event loop blocked"}
        status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
        return _json(status, {"well": not problems, "problems": problems})

    async with serve_internal_http(host, port, answer_for):
        yield


def _json(status: HTTPStatus, document: Mapping[str, Any]) -> Answer:
    return Answer(status, "application/json", json.dumps(document).encode())
