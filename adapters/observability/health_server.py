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

_OK = "ok"
Checks = Mapping[str, str]


class WorkerHealth:
    """Inputs of the readiness check; the worker sets them as it connects and starts."""

    client: Client | None = None
    pool: Pool | None = None
    worker: Worker | None = None
    stopping = False

    async def checks(self) -> Checks:
        """Return each check with `ok` or its failure reason. The worker is ready if all are `ok`."""
        temporal, database = await asyncio.gather(self._temporal(), self._database())
        return {"temporal": temporal, "postgresql": database, "worker": self._worker()}

    async def _temporal(self) -> str:
        if self.client is None:
            return "connecting"
        request = DescribeNamespaceRequest(namespace=self.client.namespace)
        return await _check(self.client.workflow_service.describe_namespace(request))

    async def _database(self) -> str:
        return "connecting" if self.pool is None else await _check(self.pool.fetchval("SELECT 1"))

    def _worker(self) -> str:
        if self.stopping:
            return "shutting down"
        return _OK if self.worker and self.worker.is_running else "not polling for tasks"


async def _check(attempt: Awaitable[Any]) -> str:
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            await attempt
    except RPCError as error:
        return f"error {error.status.name}"
    except DATABASE_ERRORS as error:
        return f"no response ({type(error).__name__})"
    return _OK


async def _no_checks() -> Checks:
    return {}


@asynccontextmanager
async def serve_health(host: str, port: int, health: WorkerHealth) -> AsyncIterator[None]:
    """Serve the health endpoint until the context exits; raises `OSError` if the address is unusable.

    The server runs in its own threads, so that it can report a blocked event loop.
    """
    loop = asyncio.get_running_loop()
    paths: Mapping[str, Callable[[], Any]] = {"/livez": _no_checks, "/readyz": health.checks}

    def answer_for(path: str) -> Answer:
        check = paths.get(path)
        if check is None:
            return _json(HTTPStatus.NOT_FOUND, {"paths": list(paths)})
        try:
            checks = asyncio.run_coroutine_threadsafe(check(), loop).result(_LOOP_TIMEOUT_SECONDS)
        except TimeoutError:
            checks = {"worker": "event loop blocked"}
        if all(result == _OK for result in checks.values()):
            return _json(HTTPStatus.OK, {"status": _OK, "checks": checks})
        return _json(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "unavailable", "checks": checks})

    async with serve_internal_http(host, port, answer_for):
        yield


def _json(status: HTTPStatus, document: Mapping[str, Any]) -> Answer:
    return Answer(status, "application/json", json.dumps(document).encode())
