"""Fork server: runs `worksub` and the worker in processes that need not import anything first.

An import of everything takes longer than most commands do. Each process is forked from this one, which
has one thread, and has the streams, the environment, the directory and the exit code that a new process would
have. It ends without freeing its objects, so tests of the exit itself must start a new interpreter.
"""

import atexit
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import termios
import traceback
from typing import Any, NoReturn

MAX_REQUEST_BYTES = 200_000


PACKAGES = ("subscription", "adapters", "workflows", "activities", "starter", "dev_stack", "entrypoints")


def main(listener: socket.socket) -> None:
    """Fork a process for each connection to `listener`, until standard input ends; then kill the rest."""
    _import_everything()
    gc.freeze()  # a collection in a forked process would copy every page of what is imported
    with listener:
        request = _serve(listener)
    if request:
        _become(request)


def _import_everything() -> None:
    """Import every module of the product, because a command imports its modules only when it is called."""
    importlib.import_module("worker")
    for package in PACKAGES:
        for module in pkgutil.walk_packages([package], f"{package}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def _serve(listener: socket.socket) -> dict[str, Any] | None:
    """Return None at the end of standard input; in a forked process, return the request."""
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj == sys.stdin.fileno():
                for running in selector.get_map().values():
                    if running.data:
                        os.kill(running.data[0], signal.SIGKILL)
                return None
            if key.fileobj is listener:
                connection, _ = listener.accept()
                message, descriptors, _, _ = socket.recv_fds(connection, MAX_REQUEST_BYTES, 3)
                pid = os.fork()
                if pid == 0:
                    selector.close()
                    connection.close()
                    return {**json.loads(message), "descriptors": descriptors}
                for descriptor in descriptors:
                    os.close(descriptor)
                connection.send(str(pid).encode())
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, connection))
            else:
                pid, connection = key.data
                selector.unregister(key.fileobj)
                os.close(key.fd)
                _, status = os.waitpid(pid, 0)
                with connection:
                    connection.send(str(os.waitstatus_to_exitcode(status)).encode())


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
    main(socket.socket(fileno=int(sys.argv[1])))
