"""The ground on which all are measured: one Temporal server, one PostgreSQL, a database for each."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import date
from itertools import count
from pathlib import Path

import asyncpg
from temporalio.client import Client

from adapters.postgres.pool import Pool, create_pool
from adapters.settings import DEFAULT_CATALOGUE, read_catalogue
from adapters.temporal.data_converter import data_converter
from benchmarks.baseline_temporal.tables import SCHEMA
from benchmarks.cpu_usage import Servers
from benchmarks.implementations import OnDbos, Ours, Plain
from benchmarks.worker_processes import WorkerProcess, worker_process
from dev_stack.stack import EmbeddedStack
from starter.client import SubscriptionClient
from starter.setup import set_up
from subscription.catalogue import PriceBook

# Long before any month that is measured: lives of last year begin on this ground too.
_SOLD_SINCE = date(2020, 1, 1)


@dataclass(frozen=True)
class Ground:
    temporal_address: str
    worker_url: str
    people_url: str
    plain_url: str
    dbos_url: str
    book: PriceBook
    temporal: Client
    """Speaks as our workflows do."""
    plain_temporal: Client
    owner: Pool
    """On our database, as its owner's only one may: what is measured does not use it."""
    reader: Pool
    dbos_pool: asyncpg.Pool
    servers: Servers
    say: Callable[[str], None]
    """Tells the person who waits what is done just now."""
    on_fault: Callable[[str], None]
    """Reports a fault that leaves the figures as they are, such as a worker that did not stop well."""

    copies: Iterator[int] = field(default_factory=count)

    def numbers(self, wanted: int) -> range:
        """Numbers of copies of a life that nobody has made yet."""
        first = next(self.copies)
        for _ in range(wanted - 1):
            next(self.copies)
        return range(first, first + wanted)

    @property
    def ours(self) -> Ours:
        return Ours(self.temporal, SubscriptionClient(self.temporal, self.reader), self.book)

    @property
    def plain(self) -> Plain:
        return Plain(self.plain_temporal, self.book)

    @contextmanager
    def dbos(self, worker: WorkerProcess) -> Iterator[OnDbos]:
        side = OnDbos(int(worker.told), self.dbos_pool, self.book)
        try:
            yield side
        finally:
            side.close()

    def our_worker(self) -> AbstractAsyncContextManager[WorkerProcess]:
        return self._worker("benchmarks.worker", self.temporal_address, self.worker_url)

    def plain_worker(self) -> AbstractAsyncContextManager[WorkerProcess]:
        return self._worker("benchmarks.baseline_temporal.worker", self.temporal_address, self.plain_url)

    def dbos_worker(self) -> AbstractAsyncContextManager[WorkerProcess]:
        return self._worker("benchmarks.baseline_dbos.worker", self.dbos_url)

    def _worker(self, module: str, *arguments: str) -> AbstractAsyncContextManager[WorkerProcess]:
        return worker_process(module, *arguments, on_fault=self.on_fault)


@asynccontextmanager
async def ground(
    directory: Path, say: Callable[[str], None], on_fault: Callable[[str], None]
) -> AsyncIterator[Ground]:
    """Fresh servers whose data are in the directory, with everything set up and no worker."""
    catalogue = read_catalogue(DEFAULT_CATALOGUE).model_copy(update={"effective_from": _SOLD_SINCE})
    async with AsyncExitStack() as running:
        enter = running.enter_async_context
        stack = await enter(EmbeddedStack(directory, search_attributes={}, on_progress=say))
        address, our_url = stack.addresses.temporal_address, stack.addresses.database_url
        temporal = await Client.connect(address, data_converter=data_converter())
        await set_up(temporal, our_url, catalogue)
        plain_url, dbos_url = [await stack.postgres.ensure_database(name) for name in ("plain", "dbos")]
        for url in (plain_url, dbos_url):
            await _create_tables(url)
        yield Ground(
            temporal_address=address,
            worker_url=stack.addresses.worker_url,
            people_url=stack.addresses.people_url,
            plain_url=plain_url,
            dbos_url=dbos_url,
            book=PriceBook(versions=(catalogue,)),
            temporal=temporal,
            plain_temporal=await Client.connect(address),
            owner=await enter(asyncpg.create_pool(our_url, min_size=1, max_size=2)),
            reader=await enter(create_pool(stack.addresses.people_url, "worksub_reader")),
            dbos_pool=await enter(asyncpg.create_pool(dbos_url, min_size=1, max_size=2)),
            servers=Servers(stack.temporal.pid, stack.postgres.pid),
            say=say,
            on_fault=on_fault,
        )


async def _create_tables(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(SCHEMA)
    finally:
        await connection.close()
