"""Asking servers that may be away: again and again, under the same ids, until there is an answer."""

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
    """The API has said that it, or what it needs, is away."""


AWAY = (
    *DATABASE_ERRORS,
    RPCError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    httpx.TransportError,
    ApiAwayError,
)
"""What a server that is away, or goes away in the middle, ends a question in."""

_PAUSE = 0.2


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await ask()
        except AWAY:
            task = asyncio.current_task()
            if task and task.cancelling():  # which Temporal's client tells as if the server had gone
                raise
            await asyncio.sleep(_PAUSE)


def quiet() -> Runtime:
    """No library tells that a server is away, which is no news here; a runtime for Temporal's clients."""
    for name in ("asyncio", "asyncpg", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    silent = LoggingConfig(filter=TelemetryFilter(core_level="ERROR", other_level="ERROR"))
    return Runtime(telemetry=TelemetryConfig(logging=silent))
