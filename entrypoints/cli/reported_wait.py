"""Wait for the result of a command, with a timeout and progress lines on standard error."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from entrypoints.cli.errors import CommandError, unavailable
from entrypoints.cli.output import print_status

_QUIET_SECONDS = 2.0
_POLL_SECONDS = 0.25
_REPORT_SECONDS = 10.0

T = TypeVar("T")


class ReportedWait:
    """The waits of one command. The timeout limits the time without progress.

    The first line appears after `quiet_seconds`, the next ones after `report_seconds` each.
    """

    def __init__(
        self,
        timeout: float,
        *,
        quiet_seconds: float = _QUIET_SECONDS,
        report_seconds: float = _REPORT_SECONDS,
        report: Callable[[str], None] = print_status,
    ) -> None:
        self._timeout = timeout
        self._quiet_seconds = quiet_seconds
        self._report_seconds = report_seconds
        self._report = report
        self._poll_seconds = min(_POLL_SECONDS, quiet_seconds)
        self._last_progress_at = 0.0
        self._progress: str | None = None

    def reset_timeout(self, progress: str | None = None) -> None:
        """Restart the timeout during a long task; set the progress message for the periodic report."""
        self._last_progress_at = time.monotonic()
        self._progress = progress

    async def result_of(self, awaited: Awaitable[T]) -> T:
        """Return the result; raise `CommandError` at the timeout, and cancel the task."""
        import asyncio  # deferred, because --help does not need it

        self.reset_timeout()
        task = asyncio.ensure_future(awaited)
        begin = time.monotonic()
        report_at = first = begin + self._quiet_seconds
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=self._poll_seconds)
                if task.done():
                    break
                now = time.monotonic()
                silence = now - self._last_progress_at
                if silence > self._timeout:
                    raise self._timeout_error()
                if now > report_at and (self._progress or silence > self._quiet_seconds):
                    self._report(
                        self._progress or self._waiting_message(None if report_at == first else now - begin)
                    )
                    report_at = now + self._report_seconds
            return task.result()
        finally:
            task.cancel()

    def _waiting_message(self, seconds: float | None) -> str:
        elapsed = "" if seconds is None else f"{seconds:.0f} s elapsed, "
        return f"Waiting for a worker to answer ({elapsed}timeout {self._timeout:g} s)…"

    def _timeout_error(self) -> CommandError:
        return unavailable(
            "TIMEOUT",
            f"No worker has answered within {self._timeout:g} s. The command may still be executed when a "
            "worker is available.",
            advice="Run `worksub doctor` to find the cause; `worksub worker` starts a worker. Then check "
            "`worksub status ID`, or repeat the command with the same --id.",
        )
