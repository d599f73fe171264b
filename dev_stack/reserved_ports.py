"""Default ports of the servers, reserved from their selection until the process ends."""

import contextlib
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Self

from dev_stack.child_server import LOOPBACK, free_ports, port_is_free


class DefaultPorts:
    """Select a port for each server: its default port, or another port if the default port is in use.

    `with DefaultPorts(report) as ports: ports.choose(8080)`. A server listens some time after its port was
    selected, so each selected port stays reserved until the context exits. Programs that start concurrently
    therefore get different ports. The reservation is a bound UDP socket with the same number as the TCP port.
    The kernel grants it to one process and releases it when that process ends.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._reserved: dict[int, socket.socket] = {}
        self._reservations = contextlib.ExitStack()

    def choose(self, default: int) -> int:
        """Return the default port, or report and return another port.

        Callers may repeat the call if the server could not listen on the returned port.
        """
        if self._reserve(default) and port_is_free(default):
            return default
        other = self.choose_any()
        self._report(f"Port {default} is in use by another program, so port {other} is used instead.")
        return other

    def choose_any(self) -> int:
        """Return a port for a server without a default port."""
        while not self._reserve(port := free_ports(1)[0]):
            pass
        return port

    def _reserve(self, port: int) -> bool:
        if port in self._reserved:
            return True
        reservation = socket.socket(type=socket.SOCK_DGRAM)
        try:
            reservation.bind((LOOPBACK, port))
        except OSError:
            reservation.close()
            return False
        self._reserved[port] = self._reservations.enter_context(reservation)
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reserved.clear()
        self._reservations.close()
