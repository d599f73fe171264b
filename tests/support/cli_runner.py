"""`worksub` as a process: with pipes like a script, or in a terminal like a user."""

import asyncio
import fcntl
import json
import os
import signal
import sys
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from adapters.temporal.encryption_keys import KEYS, KEYS_FILE
from support.forked_process import ForkedProcess, PipedProcess, Program, start_forked, start_forked_at

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 180.0
_MODULE = "entrypoints.cli"
_INHERITED = ("PATH", "HOME", "TMPDIR", "GOGC", KEYS, KEYS_FILE)  # the whole suite may run encrypted


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return the only JSON document on standard output."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        [(name, error)] = self.json.items()
        assert name == "error"
        assert set(error) == {"code", "message", "reason", "parameters", "field", "problems"}
        return dict(error)


@dataclass(frozen=True)
class Cli:
    """`worksub` with only these settings, in this directory."""

    settings: Mapping[str, str]
    directory: Path
    started: list[asyncio.subprocess.Process | ForkedProcess] = field(default_factory=list)
    """The processes that `stop` ends if they still run."""

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return {**inherited, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **self.settings}

    def with_settings(self, **settings: str) -> "Cli":
        return Cli({**self.settings, **settings}, self.directory, self.started)

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await self._start(command(arguments))

    async def _start(self, command: Sequence[str]) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment,
            cwd=self.directory,
        )
        self.started.append(process)
        return process

    async def begin(self, *arguments: str) -> PipedProcess:
        """Start a command by the fork server."""
        process = await start_forked(Program(_MODULE, arguments, self.environment, self.directory))
        self.started.append(process)
        return process

    async def run(self, *arguments: str, typed: str | bytes = "") -> Ended:
        """Run a command to its end, by the fork server; `start` starts a new interpreter."""
        process = await self.begin(*arguments)
        return await _ended(process, typed.encode() if isinstance(typed, str) else typed)

    async def python(self, *arguments: str) -> Ended:
        """Run Python itself in the environment of the command."""
        return await _ended(await self._start([sys.executable, *arguments]), b"")

    async def json(self, *arguments: str, typed: str = "") -> Any:
        """Return the JSON document of a successful command."""
        ended = await self.run(*arguments, "--json", typed=typed)
        assert ended.code == 0, ended
        return ended.json

    async def at_a_terminal(self, *arguments: str, forked: bool = True) -> "Terminal":
        """Start a command in a terminal: by the fork server, or in a new interpreter for a test of Ctrl-C."""
        terminal = await Terminal.start(self, arguments, forked=forked)
        self.started.append(terminal.process)
        return terminal

    async def stop(self) -> None:
        """End what a failed test has left running: gently, because `worksub dev` ends its own children."""
        for process in self.started:
            if process.returncode is None:
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)
                except TimeoutError:
                    process.kill()
                    await process.wait()


async def _ended(process: asyncio.subprocess.Process | PipedProcess, typed: bytes) -> Ended:
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, err = await process.communicate(typed)
    assert process.returncode is not None
    ended = Ended(process.returncode, out.decode(), err.decode())
    assert "Traceback" not in ended.err
    return ended


def command(arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", _MODULE, *arguments]


class Terminal:
    """A terminal user, who waits for each prompt before typing."""

    def __init__(self, process: asyncio.subprocess.Process | ForkedProcess, terminal: int) -> None:
        self.process = process
        self._terminal = terminal
        self.shown = ""
        self._read_up_to = 0
        self._over = False
        self._changed = asyncio.Event()
        asyncio.get_running_loop().add_reader(terminal, self._read)

    @classmethod
    async def start(cls, cli: Cli, arguments: tuple[str, ...], *, forked: bool) -> Self:
        ours, theirs = os.openpty()
        environment = {**cli.environment, "TERM": "xterm", "COLUMNS": "120"}
        process: asyncio.subprocess.Process | ForkedProcess
        if forked:
            process = await start_forked_at(Program(_MODULE, arguments, environment, cli.directory), theirs)
        else:
            process = await _start_at(theirs, command(arguments), environment, cli.directory)
        return cls(process, ours)

    async def sees(self, text: str) -> None:
        """Wait until the terminal shows this text after the text seen before."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (found := self.shown.find(text, self._read_up_to)) < 0:
                assert not self._over, f"the terminal never showed {text!r} but {self.shown!r}"
                self._changed.clear()
                await self._changed.wait()
        self._read_up_to = found + len(text)

    def type(self, line: str) -> None:
        os.write(self._terminal, f"{line}\n".encode())

    async def interrupt(self) -> None:
        """Press Ctrl-C until it takes effect: Python misses one that arrives just before it waits."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.process.returncode is None:
                os.write(self._terminal, b"\x03")
                await asyncio.wait({asyncio.ensure_future(self.process.wait())}, timeout=1)

    def end_of_input(self) -> None:
        """Press Ctrl-D."""
        os.write(self._terminal, b"\x04")

    async def ends(self) -> int:
        async with asyncio.timeout(PATIENCE_SECONDS):
            code = await self.process.wait()
        while self._read():
            pass
        os.close(self._terminal)
        assert "Traceback" not in self.shown
        return code

    def _read(self) -> bool:
        """Read the terminal; return whether there can be more to read."""
        try:
            chunk = os.read(self._terminal, 65536)
        except OSError:  # on Linux: the other side is closed
            asyncio.get_running_loop().remove_reader(self._terminal)
            self._over = True
            self._changed.set()
            return False
        self.shown += chunk.decode(errors="replace")
        self._changed.set()
        return True


async def _start_at(
    terminal: int, command: Sequence[str], environment: Mapping[str, str], directory: Path
) -> asyncio.subprocess.Process:
    """Start a command in the foreground of a terminal, and close the descriptor."""

    def take_terminal() -> None:
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        # As a shell does: a background process, which the tests may be, is started with SIGINT ignored.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment,
        cwd=directory,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(terminal)
    return process


async def gone(pid: int) -> None:
    """Wait until a process that is not a child of this process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
