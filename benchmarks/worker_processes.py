"""The worker processes that the bench compares, each with a socket that nothing else writes to.

A worker may print: its standard output goes to the bench's standard error, and no message is read from there.
"""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

_STOPPING_SECONDS = 30
_STDERR = 2


class WorkerEndedError(Exception):
    """A worker process ended while the bench still needed it."""


@dataclass(frozen=True)
class Used:
    cpu_seconds: float
    memory_bytes: int


class WorkerProcess:
    def __init__(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._name, self._reader, self._writer = name, reader, writer
        self.told = ""
        """What it reported when it had begun to work."""

    async def used(self) -> Used:
        """Return what the process has used so far, in all its threads."""
        self._writer.write(b"\n")
        await self._writer.drain()
        return Used(**await self._message())

    async def start(self) -> None:
        self.told = await self._message()

    async def _message(self) -> Any:
        line = await self._reader.readline()
        if not line:
            raise WorkerEndedError(f"{self._name} has closed its socket.")
        return json.loads(line)


@asynccontextmanager
async def worker_process(
    module: str, *arguments: str, on_fault: Callable[[str], None]
) -> AsyncIterator[WorkerProcess]:
    """Run `python -m module SOCKET arguments` from when it works to the end of this block.

    The process ends when the bench closes the socket, also because the bench itself has ended. If the process
    ends earlier, raise `WorkerEndedError` at once. If it stops badly after this block has succeeded, call
    `on_fault`: what the bench has measured by then still counts.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, str(theirs.fileno()), *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=_STDERR,
            pass_fds=[theirs.fileno()],
        )
    reader, writer = await asyncio.open_connection(sock=ours)
    try:
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(_raise_when_ended(module, process))
                worker = WorkerProcess(module, reader, writer)
                await worker.start()
                yield worker
                watching.cancel()
        finally:
            fault = await _stop(module, process, writer)
    except BaseExceptionGroup as failed:
        cause = failed.exceptions[0]  # that of the watching task, if it has one
        raise WorkerEndedError(fault) if fault else cause from cause.__cause__
    if fault:
        on_fault(fault)


async def _raise_when_ended(name: str, process: asyncio.subprocess.Process) -> None:
    code = await process.wait()
    raise WorkerEndedError(f"{name} {_ending(code)} while the bench needed it.")


async def _stop(name: str, process: asyncio.subprocess.Process, writer: asyncio.StreamWriter) -> str | None:
    """Close the socket and wait for the end of the process; return what was wrong with how it ended."""
    writer.close()
    try:
        async with asyncio.timeout(_STOPPING_SECONDS):
            code = await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"{name} did not stop within {_STOPPING_SECONDS} s and was killed."
    return f"{name} {_ending(code)}." if code else None


def _ending(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
