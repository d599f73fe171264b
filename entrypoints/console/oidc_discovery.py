"""Discovery document of the OpenID Connect issuer, loaded once per process."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import httpx2

PATIENCE_SECONDS = 10
_KEPT_SECONDS, _FAILURE_KEPT_SECONDS = 30.0, 5.0


class Discovery:
    """Anonymous visitors cause reads, so a document is kept for a while, and a failure for a shorter while.

    Concurrent visitors wait for one request. `read` raises whatever the last request raised.
    """

    def __init__(
        self,
        issuer: str,
        *,
        kept_seconds: float = _KEPT_SECONDS,
        failure_kept_seconds: float = _FAILURE_KEPT_SECONDS,
    ) -> None:
        self._url = f"{issuer}/.well-known/openid-configuration"
        self._kept_seconds = kept_seconds
        self._failure_kept_seconds = failure_kept_seconds
        self._lock = asyncio.Lock()
        self._outcome: Mapping[str, Any] | Exception | None = None
        self._good_until = 0.0

    async def read(self, *, anew: bool = False) -> Mapping[str, Any]:
        """Return the document; `anew` requests it even if there is one that is young enough."""
        async with self._lock:
            if anew or self._outcome is None or time.monotonic() >= self._good_until:
                await self._request()
            outcome = self._outcome
        assert outcome is not None
        if isinstance(outcome, Exception):
            raise outcome.with_traceback(None)
        return outcome

    async def _request(self) -> None:
        try:
            async with httpx2.AsyncClient(timeout=PATIENCE_SECONDS) as client:
                answer = await client.get(self._url)
            answer.raise_for_status()
            self._outcome = dict(answer.json())
            kept = self._kept_seconds
        except Exception as error:  # an answer of an unexpected form can raise any error
            self._outcome = error
            kept = self._failure_kept_seconds
        self._good_until = time.monotonic() + kept
