"""Discovery document of the OpenID Connect issuer, loaded once per process."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx2

TIMEOUT_SECONDS = 10
_CACHE_SECONDS, _FAILURE_CACHE_SECONDS = 30.0, 5.0


@cache
def tls_context() -> ssl.SSLContext:
    """Return the TLS context for requests to the issuer. Creating it is the slowest step of a sign-in."""
    return httpx2.create_ssl_context()


class Discovery:
    """Cache of the discovery document, because unauthenticated clients can cause requests for it.

    A document is cached for 30 seconds, a failure for five. Concurrent callers wait for the same request.
    `read` raises the error of the last request.
    """

    def __init__(
        self,
        issuer: str,
        *,
        cache_seconds: float = _CACHE_SECONDS,
        failure_cache_seconds: float = _FAILURE_CACHE_SECONDS,
    ) -> None:
        self._url = f"{issuer}/.well-known/openid-configuration"
        self._cache_seconds = cache_seconds
        self._failure_cache_seconds = failure_cache_seconds
        self._lock = asyncio.Lock()
        self._outcome: Mapping[str, Any] | Exception | None = None
        self._cached_until = 0.0

    async def read(self, *, refresh: bool = False) -> Mapping[str, Any]:
        """Return the document; `refresh` bypasses the cache."""
        async with self._lock:
            if refresh or self._outcome is None or time.monotonic() >= self._cached_until:
                await self._request()
            outcome = self._outcome
        assert outcome is not None
        if isinstance(outcome, Exception):
            raise outcome.with_traceback(None)
        return outcome

    async def _request(self) -> None:
        try:
            async with httpx2.AsyncClient(timeout=TIMEOUT_SECONDS, verify=tls_context()) as client:
                response = await client.get(self._url)
            response.raise_for_status()
            self._outcome = dict(response.json())
            seconds = self._cache_seconds
        except Exception as error:  # a malformed response can raise any error
            self._outcome = error
            seconds = self._failure_cache_seconds
        self._cached_until = time.monotonic() + seconds
