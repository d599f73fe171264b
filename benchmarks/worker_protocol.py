"""The worker's side of the benchmark's socket: report the resource usage for each received line.

The worker ends when the benchmark closes the socket.
"""

import asyncio
import gc
import json
import socket
import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import psutil


def serve(working: Callable[..., AbstractAsyncContextManager[str]]) -> None:
    """Run a worker until the socket is closed.

    `sys.argv` has the socket's file descriptor, then the arguments. Every message is one line of JSON. The
    first one is the worker's start message. Each later message responds to a received line: processor time
    (user and system) of all threads, and resident memory in bytes.
    """
    descriptor, *arguments = sys.argv[1:]
    asyncio.run(_serve(socket.socket(fileno=int(descriptor)), working(*arguments)))
    # The SDK can abort an interpreter that exits while its threads still hold objects (sdk-python#300).
    gc.collect()


async def _serve(bench: socket.socket, working: AbstractAsyncContextManager[str]) -> None:
    bench.set_inheritable(False)  # A child process must not keep the socket open.
    reader, writer = await asyncio.open_connection(sock=bench)
    process = psutil.Process()

    async def send(message: object) -> None:
        writer.write(json.dumps(message).encode() + b"\n")
        await writer.drain()

    async with working as start_message:
        await send(start_message)
        while await reader.readline():
            await send({"cpu_seconds": time.process_time(), "memory_bytes": process.memory_info().rss})
    writer.close()
