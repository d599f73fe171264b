"""The worker processes of the benchmarks, each with its own socket for messages.

A worker may print: its standard output goes to the benchmark's standard error and is not parsed.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

ALLOCATOR_SETTINGS = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""Environment of the workers of all implementations, as in the image."""

_STOPPING_SECONDS = 30
_STDERR = 2


class WorkerEndedError(Exception):
    """A worker process ended while the benchmark still needed it."""


@dataclass(frozen=True)
class ResourceUsage:
    cpu_seconds: float
    memory_bytes: int


class WorkerProcess:
    def __init__(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._name, self._reader, self._writer = name, reader, writer
        self.start_message = ""
        """The first message, which the worker sends when it is ready."""

    async def usage(self) -> ResourceUsage:
        """Return the resource usage of all threads of the process since its start."""
        self._writer.write(b"\n")
        await self._writer.drain()
        return ResourceUsage(**await self._message())

    async def start(self) -> None:
        self.start_message = await self._message()

    async def _message(self) -> Any:
        line = await self._reader.readline()
        if not line:
            raise WorkerEndedError(f"{self._name} has closed its socket.")
        return json.loads(line)


@asynccontextmanager
async def worker_process(
    module: str, *arguments: str, on_fault: Callable[[str], None]
) -> AsyncIterator[WorkerProcess]:
    """Run `python -m module SOCKET arguments` and yield when it is ready; stop it at the end of the block.

    The process ends when the benchmark closes the socket or ends itself. If the process ends earlier, raise
    `WorkerEndedError` immediately. If it does not stop cleanly after the block has succeeded, call
    `on_fault`: the figures are valid nevertheless.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, str(theirs.fileno()), *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=_STDERR,
            pass_fds=[theirs.fileno()],
            env=os.environ | ALLOCATOR_SETTINGS,
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
        cause = failed.exceptions[0]  # the exception of the watching task, if it failed
        raise WorkerEndedError(fault) if fault else cause from cause.__cause__
    if fault:
        on_fault(fault)


async def _raise_when_ended(name: str, process: asyncio.subprocess.Process) -> None:
    code = await process.wait()
    raise WorkerEndedError(f"{name} {_ending(code)} while the benchmark needed it.")


async def _stop(name: str, process: asyncio.subprocess.Process, writer: asyncio.StreamWriter) -> str | None:
    """Close the socket and wait for the end of the process; return a message if it did not end cleanly."""
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
