"""The workers that are compared, as the bench starts, asks and stops them."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

_STOPPING_SECONDS = 30


@dataclass(frozen=True)
class Used:
    cpu_seconds: float
    memory_bytes: int


@dataclass(frozen=True)
class WorkerProcess:
    process: asyncio.subprocess.Process
    told: str
    """What it said when it had begun to work."""

    async def used(self) -> Used:
        """What it has used so far, in all its threads."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        await self.process.stdin.drain()
        return Used(**json.loads(await self.process.stdout.readline()))


@asynccontextmanager
async def worker_process(module: str, *arguments: str) -> AsyncIterator[WorkerProcess]:
    """`python -m module arguments` once it works. It ends with this process, whatever ends that."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        told = (await process.stdout.readline()).decode().strip()
        if not told:
            raise RuntimeError(f"{module} has ended before it worked.")
        yield WorkerProcess(process, told)
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(_STOPPING_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
