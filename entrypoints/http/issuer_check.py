"""Periodic check of the OpenID Connect issuer, for readiness, metrics and the log."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from prometheus_client import Gauge

_INTERVAL_SECONDS = 30.0
_TIMEOUT_SECONDS = 5.0
_log = logging.getLogger(__name__)


class IssuerWatch:
    """Check that the issuer's discovery document can be read.

    `problem` is None if the last check passed, or if no issuer is configured. The check runs in the
    background, because `/readyz` needs no API key: anonymous requests must not cause requests to the issuer.
    """

    def __init__(self, issuer: str | None, gauge: Gauge) -> None:
        self._issuer = issuer
        self._gauge = gauge
        self._gauge.set(1)
        self.problem: str | None = None

    async def check(self) -> None:
        """Request the discovery document once; log and count a change."""
        if self._issuer is None:
            return
        problem = await _problem_of(self._issuer)
        if problem != self.problem:
            if problem:
                _log.warning("issuer unreachable", extra={"fields": {"problem": problem}})
            else:
                _log.info("issuer reachable again")
        self.problem = problem
        self._gauge.set(0 if problem else 1)

    async def run(self) -> None:
        """Check every 30 seconds until the task is cancelled."""
        while True:
            await self.check()
            await asyncio.sleep(_INTERVAL_SECONDS)


@asynccontextmanager
async def issuer_watched(watch: IssuerWatch) -> AsyncIterator[None]:
    """Check the issuer in a background task for the duration of the block."""
    task = asyncio.create_task(watch.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _problem_of(issuer: str) -> str | None:
    try:
        async with httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:
            response = await client.get(f"{issuer}/.well-known/openid-configuration")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return f"no response ({type(error).__name__})"
    if response.status_code != 200:
        return f"the discovery document has HTTP status {response.status_code}"
    try:
        named = response.json()["issuer"]
    except (ValueError, KeyError, TypeError):
        return "the discovery document is invalid"
    return None if str(named).rstrip("/") == issuer else "the discovery document has another issuer"
