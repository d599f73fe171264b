"""Tests of processes that the fork server starts."""

import asyncio
import os
import signal
import socket
import subprocess
import sys

from support.forked_process import ForkedProcess


async def test_forked_process_ended_before_its_code_arrives_takes_signals() -> None:
    ours, servers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    reader, writer = await _unused_streams()
    process = ForkedProcess(ours, _pid_of_an_ended_process(), writer, reader, None)

    process.send_signal(signal.SIGTERM)

    with servers:
        servers.send(b"0")
        assert await process.wait() == 0
    writer.close()


def _pid_of_an_ended_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


async def _unused_streams() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    read_end, write_end = os.pipe()
    os.close(read_end)
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(write_end, "wb", 0)
    )
    return asyncio.StreamReader(), asyncio.StreamWriter(transport, protocol, None, loop)
