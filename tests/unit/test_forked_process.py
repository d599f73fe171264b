"""Tests of processes that the fork server starts."""

import signal
import socket
import subprocess
import sys

from support.forked_process import ForkedProcess


async def test_forked_process_ended_before_its_code_arrives_takes_signals() -> None:
    ours, servers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    process = ForkedProcess(ours, _pid_of_an_ended_process())

    process.send_signal(signal.SIGTERM)

    with servers:
        servers.send(b"0")
        assert await process.wait() == 0


def _pid_of_an_ended_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid
