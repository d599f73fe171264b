"""Retries with the same IDs until a server that may be unavailable responds."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
from temporalio.client import WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import RPCError

from adapters.postgres.pool import DATABASE_ERRORS

T = TypeVar("T")


class ApiAwayError(Exception):
    """The API has reported that it, or a server that it needs, is unavailable."""


AWAY = (
    *DATABASE_ERRORS,
    RPCError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    httpx.TransportError,
    ApiAwayError,
)
"""Errors of calls to a server that is unavailable or stops during the call."""

_PAUSE = 0.2


async def retry_while_unavailable(call: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await call()
        except AWAY:
            task = asyncio.current_task()
            if task and task.cancelling():  # Temporal's client reports cancellation as an unavailable server
                raise
            await asyncio.sleep(_PAUSE)


def quiet() -> Runtime:
    """Silence the libraries' warnings about unavailable servers; return a runtime for Temporal's clients."""
    for name in ("asyncio", "asyncpg", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    silent = LoggingConfig(filter=TelemetryFilter(core_level="ERROR", other_level="ERROR"))
    return Runtime(telemetry=TelemetryConfig(logging=silent))
