"""The wait of a command: progress lines while it lasts, and an error at the timeout."""

import asyncio

import pytest

from entrypoints.cli.errors import CommandError
from entrypoints.cli.reported_wait import ReportedWait


async def test_wait_is_reported_repeatedly() -> None:
    lines: list[str] = []
    reported_twice = asyncio.Event()

    def report(line: str) -> None:
        lines.append(line)
        if len(lines) == 2:
            reported_twice.set()

    wait = ReportedWait(3600, quiet_seconds=0.01, report_seconds=0.01, report=report)
    assert await wait.result_of(reported_twice.wait())
    assert lines == [
        "Waiting for a worker to answer (timeout 3600 s)…",
        "Waiting for a worker to answer (0 s elapsed, timeout 3600 s)…",
    ]


async def test_progress_message_replaces_the_waiting_message() -> None:
    lines: list[str] = []
    reported = asyncio.Event()

    def report(line: str) -> None:
        lines.append(line)
        reported.set()

    wait = ReportedWait(3600, quiet_seconds=0.01, report=report)

    async def replayed() -> str:
        wait.reset_timeout("7 runs replayed so far…")
        await reported.wait()
        return "done"

    assert await wait.result_of(replayed()) == "done"
    assert lines == ["7 runs replayed so far…"]


async def test_unanswered_command_fails_at_the_timeout() -> None:
    cancelled = asyncio.Event()

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(CommandError, match=r"No worker has answered within 0\.01 s"):
        await ReportedWait(0.01, quiet_seconds=0.01).result_of(never())
    await cancelled.wait()
