"""The worker's side of the bench's socket: it reports what it has used when a line comes.

It ends when the bench closes the socket.
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
    """Work until the socket is closed. `sys.argv` is the socket's file descriptor and then the arguments.

    Every message is one line of JSON. The first one is what the worker has to tell. Every other one answers
    a line: processor time in all threads, as user and as system time, and resident memory in bytes.
    """
    descriptor, *arguments = sys.argv[1:]
    asyncio.run(_serve(socket.socket(fileno=int(descriptor)), working(*arguments)))
    # The SDK can abort an interpreter that exits while its threads still hold objects (sdk-python#300).
    gc.collect()


async def _serve(bench: socket.socket, working: AbstractAsyncContextManager[str]) -> None:
    bench.set_inheritable(False)  # a process that this one starts must not keep the socket open
    reader, writer = await asyncio.open_connection(sock=bench)
    process = psutil.Process()

    async def send(message: object) -> None:
        writer.write(json.dumps(message).encode() + b"\n")
        await writer.drain()

    async with working as told:
        await send(told)
        while await reader.readline():
            await send({"cpu_seconds": time.process_time(), "memory_bytes": process.memory_info().rss})
    writer.close()
