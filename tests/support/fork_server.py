"""Fork server: runs `worksub` and the worker in processes that need not import anything first.

An import of everything takes longer than most commands do. Each process is forked from this one, which
has one thread, and has the streams, the environment, the directory and the exit code that a new process would
have. It ends without freeing its objects, so tests of the exit itself must start a new interpreter.

The processes of a test run share the server. Each keeps a connection; the server ends with the last one.
"""

import atexit
import contextlib
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import selectors
import shutil
import signal
import socket
import sys
import termios
import traceback
from pathlib import Path
from typing import Any, NoReturn

MAX_REQUEST_BYTES = 200_000
ADDRESS, LOCK = "server", "lock"
"""Files in the server's directory: its socket, and the lock for starting, joining and ending the server."""

_BLOCKED = {signal.SIGINT, signal.SIGTERM}
"""Signals that end a test run reach the server too, which ends alone and then removes its directory."""

PACKAGES = ("subscription", "adapters", "workflows", "activities", "starter", "dev_stack", "entrypoints")


def main(directory: Path, listener: socket.socket, member: socket.socket) -> None:
    """Fork a process for each request, until every test process has ended; then kill the rest.

    `member` is the connection of the first test process.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
    _import_everything()
    gc.freeze()  # a collection in a forked process would copy every page of what is imported
    with listener:
        request = _serve(directory, listener, member)
    if request:
        _become(request)


def _import_everything() -> None:
    """Import every module of the product, because a command imports its modules only when it is called.

    Most commands also need the public suffixes, whose list is parsed at the first use.
    """
    importlib.import_module("worker")
    for package in PACKAGES:
        for module in pkgutil.walk_packages([package], f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    account_names = importlib.import_module("subscription.account_names")
    account_names.customer_domain("worksub.example")


def _serve(directory: Path, listener: socket.socket, member: socket.socket) -> dict[str, Any] | None:
    """Return None after the last test process; in a forked process, return the request."""
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    members = {member}
    selector.register(member, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj in members:  # members send nothing, so that this is the end of one
                selector.unregister(key.fileobj)
                members.remove(key.fileobj)
                key.fileobj.close()
            elif key.fileobj is listener:
                connection, _ = listener.accept()
                message, descriptors, _, _ = socket.recv_fds(connection, MAX_REQUEST_BYTES, 3)
                if not descriptors:
                    members.add(connection)
                    selector.register(connection, selectors.EVENT_READ)
                    continue
                pid = os.fork()
                if pid == 0:
                    selector.close()
                    connection.close()
                    return {**json.loads(message), "descriptors": descriptors}
                for descriptor in descriptors:
                    os.close(descriptor)
                _tell(connection, pid)
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, connection))
            else:
                pid, connection = key.data
                selector.unregister(key.fileobj)
                os.close(key.fd)
                _, status = os.waitpid(pid, 0)
                with connection:
                    _tell(connection, os.waitstatus_to_exitcode(status))
        if not members and _is_closed(directory, listener):
            for running in selector.get_map().values():
                if running.data:
                    os.kill(running.data[0], signal.SIGKILL)
            return None


def _tell(connection: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # a test process that was killed has closed its end
        connection.send(str(number).encode())


def _is_closed(directory: Path, listener: socket.socket) -> bool:
    """Remove the server's directory, unless another test process has just connected."""
    with (directory / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if select.select([listener], [], [], 0)[0]:
            return False
        shutil.rmtree(directory)
        return True


def _become(request: dict[str, Any]) -> NoReturn:
    """Run the requested module as the main program of this process."""
    for number, descriptor in enumerate(request["descriptors"]):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if request["terminal"]:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _BLOCKED)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["arguments"]
    code = 0
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        atexit._run_exitfuncs()  # such as the export of spans
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(socket.socket(fileno=int(number)) for number in sys.argv[2:]))
