"""A worker as a process of its own: it says what it has used when a line comes, and ends with its input."""

import asyncio
import gc
import json
import sys
import time
from contextlib import AbstractAsyncContextManager

import psutil


def serve(working: AbstractAsyncContextManager[str]) -> None:
    """Work until standard input ends. The first line on standard output is what the worker has to tell.

    Every line after that answers one on standard input: processor time in all threads, as user and as system
    time, and resident memory in bytes.
    """
    asyncio.run(_serve(working))
    # The SDK can abort an interpreter that exits while its threads still hold objects (sdk-python#300).
    gc.collect()


async def _serve(working: AbstractAsyncContextManager[str]) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    process = psutil.Process()
    async with working as told:
        print(told, flush=True)
        while await lines.readline():
            used = {"cpu_seconds": time.process_time(), "memory_bytes": process.memory_info().rss}
            print(json.dumps(used), flush=True)
