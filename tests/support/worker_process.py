"""The worker as operators run it: in its own process with its own environment."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.temporal.encryption_keys import KEYS, KEYS_FILE
from support.forked_process import PipedProcess, Program, start_forked

_ROOT = Path(__file__).parents[2]
_SETTINGS = ("TEMPORAL", "DATABASE_URL", "WORKSUB", "PG")
_SHARED = (KEYS, KEYS_FILE)  # the whole suite may run encrypted
_PATIENCE_SECONDS = 90.0


class WorkerProcess:
    """A worker process; `output` has the text of both of its streams so far."""

    def __init__(self, process: asyncio.subprocess.Process | PipedProcess) -> None:
        self._process = process
        self.output = ""
        self._changed = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())
        self._listening.add_done_callback(lambda _: self._changed.set())

    async def says(self, text: str) -> None:
        """Wait until the output has this text."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while text not in self.output:
                    if self._listening.done():
                        raise AssertionError(f"the worker ended without the output {text!r}:\n{self.output}")
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"no output {text!r} within {_PATIENCE_SECONDS:.0f} s:\n{self.output}"
            ) from None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def exit_code(self) -> int:
        """Wait until the process has ended; return its exit code."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                code = await self._process.wait()
                await self._listening
                return code
        except TimeoutError:
            raise AssertionError(
                f"the worker did not end within {_PATIENCE_SECONDS:.0f} s:\n{self.output}"
            ) from None

    async def end(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._listening

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self.output += line.decode()
            self._changed.set()


@asynccontextmanager
async def worker_process(
    settings: Mapping[str, str], home: Path, *, forked: bool = True
) -> AsyncIterator[WorkerProcess]:
    """Run `python -m worker` with only these settings.

    The fork server runs it. Tests of signals, of the exit and of imports start a new interpreter instead.
    """
    inherited = {
        name: value for name, value in os.environ.items() if name in _SHARED or not name.startswith(_SETTINGS)
    }
    environment = {**inherited, "HOME": str(home), "XDG_CONFIG_HOME": str(home), **settings}
    process: asyncio.subprocess.Process | PipedProcess
    if forked:
        process = await start_forked(
            Program("worker", (), environment, _ROOT), stderr=asyncio.subprocess.STDOUT
        )
    else:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker"),
            cwd=_ROOT,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    running = WorkerProcess(process)
    try:
        yield running
    finally:
        await running.end()
