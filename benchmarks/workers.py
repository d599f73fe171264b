"""Both workers, each in a process of its own that says how much processor time it has used."""

import asyncio
import gc
import multiprocessing
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from multiprocessing.connection import Connection

import asyncpg
from temporalio.client import Client
from temporalio.worker import Worker

from activities.database import connected
from benchmarks.plain import TASK_QUEUE, PlainSubscription
from benchmarks.plain_activities import PlainActivities
from worker import create_worker
from workflows.converter import data_converter

CONNECTIONS = 10
_STOPPING_SECONDS = 30

_Working = Callable[[str, str], AbstractAsyncContextManager[None]]


class WorkerProcess:
    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def cpu_seconds(self) -> float:
        """What it has used so far, in all its threads, as user and as system time."""
        self._pipe.send("How much?")
        seconds: float = self._pipe.recv()
        return seconds


@contextmanager
def worker_process(working: _Working, temporal_address: str, database_url: str) -> Iterator[WorkerProcess]:
    """A worker that works already. It stops with this process, whatever ends that."""
    spawning = multiprocessing.get_context("spawn")
    pipe, childs_end = spawning.Pipe()
    process = spawning.Process(target=_main, args=(childs_end, working, temporal_address, database_url))
    process.start()
    childs_end.close()
    pipe.recv()
    try:
        yield WorkerProcess(pipe)
    finally:
        pipe.close()
        process.join(_STOPPING_SECONDS)
        process.kill()


@asynccontextmanager
async def our_worker(temporal_address: str, database_url: str) -> AsyncIterator[None]:
    """As `worker.py` runs it."""
    client = await Client.connect(temporal_address, data_converter=data_converter())
    async with (
        connected(database_url, "worksub_worker", connections=CONNECTIONS) as pool,
        create_worker(client, pool),
    ):
        yield


@asynccontextmanager
async def plain_worker(temporal_address: str, database_url: str) -> AsyncIterator[None]:
    client = await Client.connect(temporal_address)
    async with asyncpg.create_pool(database_url, min_size=1, max_size=CONNECTIONS) as pool:
        activities = PlainActivities(pool)
        async with Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=[PlainSubscription],
            activities=[
                activities.take_name,
                activities.create_account,
                activities.create_administrator,
                activities.create_workspace,
                activities.record,
                activities.post_service_fee,
            ],
        ):
            yield


def _main(pipe: Connection, working: _Working, temporal_address: str, database_url: str) -> None:
    asyncio.run(_work(pipe, working(temporal_address, database_url)))
    # The SDK can abort an interpreter that exits while its threads still hold objects (sdk-python#300).
    gc.collect()


async def _work(pipe: Connection, working: AbstractAsyncContextManager[None]) -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def answer() -> None:
        try:
            pipe.recv()
        except EOFError:
            loop.remove_reader(pipe.fileno())
            over.set()
        else:
            pipe.send(time.process_time())

    async with working:
        loop.add_reader(pipe.fileno(), answer)
        pipe.send("Working.")
        await over.wait()
