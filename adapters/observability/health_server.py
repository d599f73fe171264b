"""Health endpoint of the worker: `/livez` and `/readyz`."""

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

from adapters.observability.internal_http_server import Answer, internally_served
from adapters.postgres.pool import DATABASE_ERRORS, Pool

_PATIENCE_SECONDS = 3.0
_LOOP_PATIENCE_SECONDS = 2 * _PATIENCE_SECONDS

Problems = Mapping[str, str]


class WorkerHealth:
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
    except DATABASE_ERRORS as error:
        return f"it does not answer ({type(error).__name__})"
    return None


async def _nothing() -> Problems:
    return {}


@asynccontextmanager
async def serve_health(host: str, port: int, health: WorkerHealth) -> AsyncIterator[None]:
    """Answer over HTTP while in this block; raises `OSError` if nothing can listen there.

    It answers from threads of its own, so that an event loop that hangs is noticed.
    """
    loop = asyncio.get_running_loop()
    asked: Mapping[str, Callable[[], Any]] = {"/livez": _nothing, "/readyz": health.problems}

    def answer_for(path: str) -> Answer:
        problems = asked.get(path)
        if problems is None:
            return _json(HTTPStatus.NOT_FOUND, {"paths": list(asked)})
        try:
            found = asyncio.run_coroutine_threadsafe(problems(), loop).result(_LOOP_PATIENCE_SECONDS)
        except TimeoutError:
            found = {"worker": "its event loop hangs"}
        status = HTTPStatus.SERVICE_UNAVAILABLE if found else HTTPStatus.OK
        return _json(status, {"well": not found, "problems": found})

    async with internally_served(host, port, answer_for):
        yield


def _json(status: HTTPStatus, document: Mapping[str, Any]) -> Answer:
    return Answer(status, "application/json", json.dumps(document).encode())
