"""Child processes, directory locks and free ports."""

import abc
import asyncio
import contextlib
import ctypes
import fcntl
import os
import pwd
import secrets
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NoReturn, Self

LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.02
START_SECONDS = 60.0
STOP_SECONDS = 20.0
LOG_TAIL_LINES = 15
START_ATTEMPTS = 3
LOCK_FILE = "lock"

_LOWEST_PORT = 10_000
_FIRST_DYNAMIC_PORT = 49_152
_PR_SET_PDEATHSIG = 1
# Loaded before any fork, because only few operations are safe between fork and exec.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class ServerError(Exception):
    """An embedded server cannot start, or its data are in use. The message is a sentence for users."""


class EndedAtStartError(ServerError):
    """A server's process ended before it answered, for example because its port was taken."""


def free_ports(count: int) -> list[int]:
    """Return distinct TCP ports of the loopback interface on which no process listens now.

    They are below the kernel's ephemeral port range. Otherwise a new connection, or a server on port 0, could
    take a port before its server listens.
    """
    candidates = range(_LOWEST_PORT, _first_ephemeral_port())
    chosen: list[int] = []
    while len(chosen) < count:
        port = secrets.choice(candidates)
        if port not in chosen and port_is_free(port):
            chosen.append(port)
    return chosen


def _first_ephemeral_port() -> int:
    """Return the first port of the kernel's ephemeral range, or else of the IANA dynamic range."""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        return _FIRST_DYNAMIC_PORT
    return first if first > _LOWEST_PORT + 1_000 else _FIRST_DYNAMIC_PORT


def port_is_free(port: int) -> bool:
    """Return whether a server could listen on this TCP port of the loopback interface now."""
    with socket.socket() as probe:
        # Servers set SO_REUSEADDR, too. Without it, closed connections in TIME_WAIT would occupy the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


class DirectoryLock:
    """Exclusive lock on a directory, held by this process and by each child that inherits the descriptor.

    The lock is a `flock`, which the kernel releases when its last holder ends. A remaining lock file
    therefore never blocks a new process. Servers inherit the lock, so that a server that briefly outlives its
    parent still protects its data from a second server.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / LOCK_FILE
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        """File descriptor that a child process inherits."""
        if self._descriptor is None:
            raise RuntimeError(f"{self._path} is not held")
        return self._descriptor

    async def acquire(self) -> None:
        """Acquire the lock; wait if its owner has ended and only the owner's servers are still stopping.

        Raises:
            ServerError: a running process holds the lock (the message contains its PID), or the directory is
                not writable.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ServerError(f"{self._path.parent} cannot be used: {error}.") from error
        deadline = time.monotonic() + STOP_SECONDS
        try:
            while not _try_lock(descriptor):
                owner = _owner(descriptor)
                if (owner and _is_alive(owner)) or time.monotonic() > deadline:
                    raise ServerError(
                        f"{self._path.parent} is in use by process {owner or 'unknown'}: "
                        "stop that process first, or choose another directory."
                    )
                await asyncio.sleep(POLL_SECONDS)
        except BaseException:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock; do nothing if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    async def __aenter__(self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @staticmethod
    def holder(directory: Path) -> int | None:
        """Return the PID of the running process that holds the lock of the directory, or None."""
        try:
            descriptor = os.open(directory / LOCK_FILE, os.O_RDONLY)
        except OSError:
            return None
        try:
            if _try_lock(descriptor):
                return None
            owner = _owner(descriptor)
        finally:
            os.close(descriptor)
        return owner if owner and _is_alive(owner) else None


def _open_private(path: Path) -> BinaryIO:
    """Open a file for writing that no other account can read."""
    return open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600))


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(descriptor: int) -> int | None:
    written = os.pread(descriptor, 32, 0)
    return int(written) if written.isdigit() else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # the process runs under another account
        return True
    return True


def _terminate_with_parent(stop_signal: signal.Signals) -> Callable[[], None]:
    """Return a function for the child to run before exec: signal it when the parent dies (Linux only)."""
    parent = os.getpid()

    def run() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, stop_signal)
            # The parent may have died before `prctl` took effect.
            if os.getppid() != parent:
                os._exit(1)

    return run


class ChildProcess:
    """A server as a child process. It ends with its parent and does not receive the terminal's Ctrl-C."""

    def __init__(
        self, name: str, process: asyncio.subprocess.Process, log: Path, stop_signal: signal.Signals
    ) -> None:
        self._name = name
        self._process = process
        self._log = log
        self._stop_signal = stop_signal

    @classmethod
    async def start(
        cls,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        lock: DirectoryLock,
        stop_signal: signal.Signals,
        account: pwd.struct_passwd | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Start `command` with its output in a new `log`, under another `account` if given.

        `environment` replaces the environment of this process, if given. The child inherits `lock`. It
        receives `stop_signal` when its parent dies: on Linux, when the thread of the event loop ends.

        Raises:
            ServerError: the command cannot be executed.
        """
        try:
            with _open_private(log) as output:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=asyncio.subprocess.STDOUT,
                    pass_fds=[lock.descriptor],
                    # Data and logs of the servers contain customer data; other accounts must not read them.
                    umask=0o077,
                    start_new_session=True,
                    cwd=log.parent,
                    env=environment,
                    preexec_fn=_terminate_with_parent(stop_signal),
                    user=account.pw_uid if account else None,
                    group=account.pw_gid if account else None,
                    extra_groups=[] if account else None,
                )
        except OSError as error:
            raise ServerError(f"{name} cannot be started: {error}.") from error
        return cls(name, process, log, stop_signal)

    @property
    def pid(self) -> int:
        """The process ID."""
        return self._process.pid

    async def wait_until(self, is_ready: Callable[[], Awaitable[bool]]) -> None:
        """Poll `is_ready` until it returns True.

        Raises:
            EndedAtStartError: the process ended first; the message contains the end of its log.
            ServerError: START_SECONDS have passed; the message contains the end of its log.
        """
        # Wait for both concurrently: another program on the port may accept a connection and never answer.
        ended = asyncio.ensure_future(self._process.wait())
        ready = asyncio.ensure_future(_poll(is_ready))
        try:
            await asyncio.wait({ended, ready}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                failure = self._failure(f"ended at start with exit code {ended.result()}")
                raise EndedAtStartError(str(failure))
            if not ready.done():
                raise self._failure(f"did not answer within {START_SECONDS:.0f} s")
            ready.result()
        finally:
            ended.cancel()
            ready.cancel()

    async def wait_for_success(self) -> None:
        """Wait for the end of a process that is expected to end.

        Raises:
            ServerError: the exit code is not 0; the message contains the end of the log.
        """
        if await self._process.wait() != 0:
            raise self._failure(f"failed with exit code {self._process.returncode}")

    async def wait_for_end(self) -> NoReturn:
        """Wait for the unexpected end of a server process.

        Raises:
            ServerError: the process has ended; the message contains the end of its log.
        """
        raise self._failure(f"has ended with exit code {await self._process.wait()}")

    async def stop(self) -> None:
        """Stop the process and wait for its end, because it occupies its port and its data until then.

        A cancellation takes effect only after the process has ended. Otherwise the event loop could close
        first, and asyncio would warn about a process that is still running.
        """
        stopping = asyncio.ensure_future(self._stop())
        cancelled = False
        while not stopping.done():
            try:
                await asyncio.shield(stopping)
            except asyncio.CancelledError:
                cancelled = True
        stopping.result()
        if cancelled:
            raise asyncio.CancelledError

    async def _stop(self) -> None:
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(self._stop_signal)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _failure(self, problem: str) -> ServerError:
        tail = self._log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return ServerError("\n".join([f"{self._name} {problem}. The end of {self._log}:", *tail]))


async def _poll(is_ready: Callable[[], Awaitable[bool]]) -> None:
    ready = await is_ready()
    while not ready:
        await asyncio.sleep(POLL_SECONDS)
        ready = await is_ready()


class EmbeddedServer(abc.ABC):
    """A server with persistent data in one directory, which it locks while it runs.

    Entering the context raises ServerError if the server does not start or another process uses the
    directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()
        self._lock = DirectoryLock(self._directory)
        self._process: ChildProcess | None = None

    @property
    def pid(self) -> int:
        """The process ID of the server."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    async def __aenter__(self) -> Self:
        await self._lock.acquire()
        try:
            await self._start_on_free_ports()
        except BaseException:
            await self._stop()
            raise
        return self

    async def _start_on_free_ports(self) -> None:
        """Start the server; retry with other ports if its process ends before it answers.

        Another process may take a chosen port before the server listens on it.
        """
        for _ in range(START_ATTEMPTS - 1):
            with contextlib.suppress(EndedAtStartError):
                return await self._start()
        return await self._start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def wait_for_end(self) -> NoReturn:
        """Wait while the server runs; the wait ends when the context exits.

        Raises:
            ServerError: the server has ended or was killed; the message contains the end of its log.
        """
        if self._process is None:
            raise RuntimeError("the server is not running")
        await self._process.wait_for_end()

    @abc.abstractmethod
    async def _start(self) -> None:
        """Start the server and wait until it answers."""

    async def _run(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: str,
        stop_signal: signal.Signals,
        account: pwd.struct_passwd | None = None,
    ) -> ChildProcess:
        """Start `command` as the process of this server, which stops when the context exits."""
        self._process = await ChildProcess.start(
            name,
            command,
            log=self._directory / log,
            lock=self._lock,
            stop_signal=stop_signal,
            account=account,
        )
        return self._process

    async def _stop(self) -> None:
        try:
            if self._process is not None:
                await self._process.stop()
        finally:
            self._process = None
            self._lock.release()
