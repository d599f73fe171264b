"""Start `worksub` or the worker through the fork server, with the methods of an asyncio subprocess."""

import asyncio
import contextlib
import fcntl
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support import forked_command
from support.fork_server import ADDRESS, LOCK

ROOT = Path(__file__).parents[2]
_PROGRAMS = "bin"
_LONGEST_LINE = 2**24


class ForkedProcess:
    """A process that the fork server has started, with what tests use of an asyncio subprocess."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.ensure_future(self._wait_for_code(connection))

    async def wait(self) -> int:
        """Return the exit code; minus its number if a signal ended the process."""
        return await asyncio.shield(self._ended)

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            # Like subprocess.Popen: the process may have ended, and its exit code not have arrived yet.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def _wait_for_code(self, connection: socket.socket) -> int:
        with connection:
            answer = await asyncio.get_running_loop().sock_recv(connection, 32)
        self.returncode = int(answer)
        return self.returncode


class PipedProcess(ForkedProcess):
    """A forked process whose streams are pipes of this process."""

    def __init__(
        self,
        connection: socket.socket,
        pid: int,
        stdin: asyncio.StreamWriter,
        stdout: asyncio.StreamReader,
        stderr: asyncio.StreamReader | None,
    ) -> None:
        super().__init__(connection, pid)
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr

    async def communicate(self, typed: bytes = b"") -> tuple[bytes, bytes]:
        """Write to standard input, close it, and return what the process wrote until it ended."""
        outputs = asyncio.gather(self.stdout.read(), self.stderr.read() if self.stderr else _nothing())
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may end without reading
            self.stdin.write(typed)
            await self.stdin.drain()
        self.stdin.close()
        out, err = await outputs
        await self.wait()
        return out, err


@dataclass(frozen=True)
class Program:
    """`python -m module arguments…` with this environment in this directory."""

    module: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: Path


async def start_forked(program: Program, *, stderr: int | None = PIPE) -> PipedProcess:
    """Run the program with pipes as its streams, without its imports; `stderr` is as for a subprocess."""
    stdin_end, to_stdin = os.pipe()
    from_stdout, stdout_end = os.pipe()
    from_stderr = None
    if stderr == PIPE:
        from_stderr, stderr_end = os.pipe()
    else:
        stderr_end = stdout_end if stderr == STDOUT else os.dup(2)
    connection, pid = await _fork(program, (stdin_end, stdout_end, stderr_end))
    return PipedProcess(
        connection,
        pid,
        await _writer(to_stdin),
        await _reader(from_stdout),
        None if from_stderr is None else await _reader(from_stderr),
    )


async def start_forked_at(program: Program, terminal: int) -> ForkedProcess:
    """Run the program in the foreground of a terminal, which is its only stream; close the descriptor."""
    return ForkedProcess(*await _fork(program, (terminal,) * 3, terminal=True))


async def start_forked_with_log(program: Program, log: Path) -> ForkedProcess:
    """Run the program with both outputs in a file and without input."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return ForkedProcess(*await _fork(program, (os.open(os.devnull, os.O_RDONLY), output, output)))


async def _fork(
    program: Program, streams: Sequence[int], *, terminal: bool = False
) -> tuple[socket.socket, int]:
    """Start the program with these streams, and close them here; return its connection and process ID."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(str(_server_directory() / ADDRESS))
    connection.setblocking(False)
    request = {
        "module": program.module,
        "arguments": [program.module, *program.arguments],
        "environment": dict(program.environment),
        "directory": str(program.directory),
        "terminal": terminal,
    }
    socket.send_fds(connection, [json.dumps(request).encode()], streams)
    for stream in set(streams):
        os.close(stream)
    return connection, int(await asyncio.get_running_loop().sock_recv(connection, 32))


async def _nothing() -> bytes:
    return b""


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    pipe = os.fdopen(descriptor, "rb", 0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


async def _writer(descriptor: int) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    pipe = os.fdopen(descriptor, "wb", 0)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, pipe)
    return asyncio.StreamWriter(transport, protocol, None, loop)


def program_directory() -> Path:
    """Return a directory for the PATH of a shell: the fork server runs its `worksub`."""
    return _server_directory() / _PROGRAMS


@functools.cache
def _server_directory() -> Path:
    """Return the directory of the fork server, which all processes of a test run share.

    The first process that needs it starts it, because its imports take seconds of CPU time.
    """
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex)
    place = Path(tempfile.gettempdir()) / f"worksub-fork-{uuid.uuid5(uuid.NAMESPACE_OID, f'{ROOT}{run}').hex}"
    place.mkdir(mode=0o700, exist_ok=True)
    with (place / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        place.mkdir(mode=0o700, exist_ok=True)  # a server that has just ended has removed it
        try:
            _connect_member(place)
        except (FileNotFoundError, ConnectionRefusedError):
            _start_server(place)
    return place


_open: list[object] = []
"""The connection to the server, which ends the server when it is closed; and the server's process."""


def _connect_member(place: Path) -> None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(str(place / ADDRESS))
        connection.send(b"member")
    except OSError:
        connection.close()
        raise
    _open.append(connection)


def _start_server(place: Path) -> None:
    address = place / ADDRESS
    address.unlink(missing_ok=True)
    (place / _PROGRAMS).mkdir(exist_ok=True)
    program = place / _PROGRAMS / "worksub"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -SEs {forked_command.__file__} {address} "$@"\n')
    program.chmod(0o700)
    connection, member = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, member:
        listener.bind(str(address))
        listener.listen(64)
        descriptors = (listener.fileno(), member.fileno())
        server = subprocess.Popen(
            [sys.executable, "-m", "support.fork_server", place, *map(str, descriptors)],
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "PYTHONUTF8": "1"},
            pass_fds=descriptors,
        )
    _open.extend((connection, server))
