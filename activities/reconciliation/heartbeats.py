"""Heartbeats of a page, with the progress from which another attempt resumes."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from temporalio import activity

_EVERY_SECONDS = 10.0


class Heartbeats:
    """Heartbeats in the background. Each replaces the details of the one before, so all carry them."""

    def __init__(self) -> None:
        self._details = tuple(activity.info().heartbeat_details)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._send_regularly())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    @property
    def progress(self) -> Any:
        """Return the latest details, at first those of the attempt before; None if there are none."""
        return self._details[0] if self._details else None

    def send(self, progress: object) -> None:
        self._details = (progress,)
        activity.heartbeat(progress)

    async def _send_regularly(self) -> None:
        while True:
            activity.heartbeat(*self._details)
            await asyncio.sleep(_EVERY_SECONDS)
