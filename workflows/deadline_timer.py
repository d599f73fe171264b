"""A resettable workflow timer that is only replaced when the deadline changes."""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow


class DeadlineTimer:
    """Timer that is replaced only if the deadline changes; each replacement adds two history events."""

    def __init__(self) -> None:
        self._at: datetime | None = None
        self._timer: asyncio.Task[None] | None = None

    def reset(self, at: datetime, sleep: timedelta, summary: str) -> None:
        """Set the timer for the deadline `at`, after `sleep`. The Web UI shows `summary` at the timer."""
        if at == self._at and not self.fired():
            return
        if self._timer:
            self._timer.cancel()
        self._at = at
        self._timer = asyncio.create_task(workflow.sleep(sleep, summary=summary))

    def fired(self) -> bool:
        """Return whether the deadline has been reached."""
        return self._timer is not None and self._timer.done()
