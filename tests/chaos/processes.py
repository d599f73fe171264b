"""Worker, API and client processes, which can be killed separately."""

import asyncio
import itertools
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.forked_process import (
    ForkedProcess,
    PipedProcess,
    Program,
    start_forked,
    start_forked_with_log,
)

from dev_stack.child_server import LOOPBACK, POLL_SECONDS, STOP_SECONDS

TESTS = Path(__file__).parents[1]
_OURS = ("TEMPORAL", "DATABASE_URL", "WORKSUB", "PG", "OTEL", "PYTEST", "COV")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return these settings without those of this process."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**inherited, "TEMPORAL_CONFIG_FILE": os.devnull, "PYTHONPATH": str(TESTS), **settings}


class Process:
    """A process of the service, which can be ended and started again. The fork server starts it."""

    def __init__(self, module: str, directory: Path, settings: Mapping[str, str]) -> None:
        self._module = module
        self._directory = directory
        self._settings = settings
        self._process: ForkedProcess | None = None
        self._numbers = itertools.count(1)
        directory.mkdir()

    async def start(self) -> None:
        self._process = await self._started()

    async def _started(self) -> ForkedProcess:
        self._log = self._directory / f"{next(self._numbers)}.log"
        program = Program(self._module, (), environment(self._settings), self._directory)
        return await start_forked_with_log(program, self._log)

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def end(self, number: signal.Signals) -> None:
        """Send the signal and wait until the process has ended."""
        if self._process is not None:
            await _end(self._process, number)
            self._process = None


async def _end(process: ForkedProcess, number: signal.Signals) -> None:
    process.send_signal(number)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


class Worker(Process):
    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        super().__init__("chaos.worker_process", directory, settings)


class Api(Process):
    """An API process; `address`, as host:port, stays the same after each start."""

    def __init__(self, directory: Path, settings: Mapping[str, str], port: int) -> None:
        self.address = f"{LOOPBACK}:{port}"
        super().__init__("chaos.api_process", directory, {**settings, "WORKSUB_API_ADDRESS": self.address})
        self._finishing: list[asyncio.Task[None]] = []

    async def replace(self) -> None:
        """Send SIGTERM, and start the next process while this one finishes its open requests."""
        assert self._process is not None
        self._finishing.append(asyncio.create_task(_end(self._process, signal.SIGTERM)))
        self._process = await self._started()

    async def end_for_good(self) -> None:
        await self.end(signal.SIGTERM)
        await asyncio.gather(*self._finishing)

    async def _started(self) -> ForkedProcess:
        """Start until it responds: without PostgreSQL the API exits, and a supervisor restarts it."""
        while True:
            process = await super()._started()
            while process.returncode is None:
                # Its own log, because the previous process may still respond at its address for a moment.
                if b"Listening at" in self._log.read_bytes():
                    return process
                await asyncio.sleep(POLL_SECONDS)


class ClientProcess:
    """A client process, which takes many concurrent requests."""

    def __init__(self, process: PipedProcess) -> None:
        self._process = process
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, settings: Mapping[str, str], database_url: str, api_url: str) -> "ClientProcess":
        # It ends at the end of its input, and thus with this process.
        program = Program("chaos.client_process", (database_url, api_url), environment(settings), TESTS)
        process = await start_forked(program, stderr=None)
        assert await process.stdout.readline() == b"ready\n", "the client process has ended"
        return cls(process)

    async def send(
        self, command: str, argument: Any, subscription_id: str, token: str | None
    ) -> dict[str, Any]:
        """Return the response to this client: `accepted`, `code` and `answer`. With a token, call the API."""
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        request = {
            "number": number,
            "command": command,
            "argument": argument,
            "subscription_id": subscription_id,
            "token": token,
        }
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        return await answer

    async def end(self) -> None:
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), timeout=5)
        except TimeoutError:  # it still waits for a response that will never arrive
            self._process.kill()
            await self._process.wait()
        self._listening.cancel()

    async def _listen(self) -> None:
        while line := await self._process.stdout.readline():
            answer = json.loads(line)
            self._waiting.pop(answer.pop("number")).set_result(answer)
