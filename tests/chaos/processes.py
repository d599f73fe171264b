"""Worker, API and client processes, which can be killed separately."""

import asyncio
import itertools
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dev_stack.child_server import LOOPBACK, ChildProcess, DirectoryLock, ServerError

TESTS = Path(__file__).parents[1]
_OURS = ("TEMPORAL", "DATABASE_URL", "WORKSUB", "PG", "OTEL", "PYTEST", "COV")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return these settings without those of this process."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**inherited, "TEMPORAL_CONFIG_FILE": os.devnull, "PYTHONPATH": str(TESTS), **settings}


class Process:
    """A process of the service, which can be ended and started again."""

    def __init__(self, name: str, module: str, directory: Path, settings: Mapping[str, str]) -> None:
        self._name = name
        self._module = module
        self._directory = directory
        self._settings = settings
        self._process: ChildProcess | None = None
        self._numbers = itertools.count(1)

    async def start(self) -> None:
        self._process = await self._started()

    async def _started(self) -> ChildProcess:
        directory = self._directory / f"{next(self._numbers)}"
        self._log = directory / "log"
        async with DirectoryLock(directory) as lock:
            return await ChildProcess.start(
                self._name,
                [sys.executable, "-m", self._module],
                log=self._log,
                lock=lock,
                stop_signal=signal.SIGTERM,
                environment=environment(self._settings),
            )

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    async def end(self, number: signal.Signals) -> None:
        """Send the signal and wait until the process has ended."""
        if self._process is not None:
            if number is signal.SIGKILL:
                self.send(number)
                with suppress(ServerError):  # raised when the process has ended
                    await self._process.wait_for_end()
            await self._process.stop()
            self._process = None


class Worker(Process):
    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        super().__init__("A worker", "chaos.worker_process", directory, settings)


class Api(Process):
    """An API process; `address`, as host:port, stays the same after each start."""

    def __init__(self, directory: Path, settings: Mapping[str, str], port: int) -> None:
        self.address = f"{LOOPBACK}:{port}"
        super().__init__(
            "The API", "chaos.api_process", directory, {**settings, "WORKSUB_API_ADDRESS": self.address}
        )
        self._finishing: list[asyncio.Task[None]] = []

    async def replace(self) -> None:
        """Send SIGTERM, and start the next process while this one finishes its open requests."""
        assert self._process is not None
        self._finishing.append(asyncio.create_task(self._process.stop()))
        self._process = await self._started()

    async def end_for_good(self) -> None:
        await self.end(signal.SIGTERM)
        await asyncio.gather(*self._finishing)

    async def _started(self) -> ChildProcess:
        """Start until it responds: without PostgreSQL the API exits, and a supervisor restarts it."""
        while True:
            process = await super()._started()
            try:
                await process.wait_until(self._answers)
            except ServerError:
                await process.stop()
            else:
                return process

    async def _answers(self) -> bool:
        """Check its own log: the previous process may still respond at its address for a moment."""
        return b"Listening at" in self._log.read_bytes()


class ClientProcess:
    """A client process, which takes many concurrent requests."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, settings: Mapping[str, str], database_url: str, api_url: str) -> "ClientProcess":
        # It ends at the end of its input, and thus with this process.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "chaos.client_process", database_url, api_url),
            env=environment(settings),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**24,
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n", "the client process has ended"
        return cls(process)

    async def send(
        self, command: str, argument: Any, subscription_id: str, token: str | None
    ) -> dict[str, Any]:
        """Return the response to this client: `accepted`, `code` and `answer`. With a token, call the API."""
        assert self._process.stdin is not None
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
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), timeout=5)
        except TimeoutError:  # it still waits for a response that will never arrive
            self._process.kill()
            await self._process.wait()
        self._listening.cancel()

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            answer = json.loads(line)
            self._waiting.pop(answer.pop("number")).set_result(answer)
