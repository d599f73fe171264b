"""A resettable workflow timer that is only replaced when the deadline changes."""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow


class DeadlineTimer:
    """Set anew for another moment only: a timer that is taken back and set again costs two events."""

    def __init__(self) -> None:
        self._at: datetime | None = None
        self._timer: asyncio.Task[None] | None = None

    def ring_at(self, at: datetime, sleep: timedelta, summary: str) -> None:
        """Ring at `at`, which is so far away; `summary` is for people who look at the timer."""
        if at == self._at and not self.rings():
            return
        if self._timer:
            self._timer.cancel()
        self._at = at
        self._timer = asyncio.create_task(workflow.sleep(sleep, summary=summary))

    def rings(self) -> bool:
        return self._timer is not None and self._timer.done()
