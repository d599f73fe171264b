"""The benchmark environment: one Temporal server, one PostgreSQL server, a database per implementation."""

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
from adapters.worker_settings import DEFAULT_CACHED_WORKFLOWS
from benchmarks.baseline_temporal.tables import SCHEMA
from benchmarks.cpu_usage import ServerProcesses
from benchmarks.implementations import BaselineDbos, BaselineTemporal, WorksubImplementation
from benchmarks.worker_processes import WorkerProcess, worker_process
from dev_stack.postgres_server import READER_LOGIN, WORKER
from dev_stack.stack import EmbeddedStack
from starter.client import SubscriptionClient
from starter.setup import set_up
from subscription.catalogue import PriceBook

# Before any measured month: some subscriptions begin in the previous year.
_SOLD_SINCE = date(2020, 1, 1)

_OURS = "benchmark"
"""The database of worksub; those of the other implementations have their names."""


@dataclass(frozen=True)
class BenchmarkEnvironment:
    temporal_address: str
    worker_url: str
    reader_url: str
    plain_url: str
    dbos_url: str
    book: PriceBook
    temporal: Client
    """A client with worksub's data converter."""
    plain_temporal: Client
    owner: Pool
    """The owner of worksub's database, for set-up and queries; the measured code does not use it."""
    reader: Pool
    dbos_pool: asyncpg.Pool
    servers: ServerProcesses
    on_progress: Callable[[str], None]
    """Prints the current step for the user."""
    on_fault: Callable[[str], None]
    """Reports a fault that does not invalidate the figures, such as a worker that did not stop cleanly."""

    copies: Iterator[int] = field(default_factory=count)

    def numbers(self, amount: int) -> range:
        """Allocate unused numbers for copies of the template."""
        first = next(self.copies)
        for _ in range(amount - 1):
            next(self.copies)
        return range(first, first + amount)

    @property
    def ours(self) -> WorksubImplementation:
        return WorksubImplementation(self.temporal, SubscriptionClient(self.temporal, self.reader), self.book)

    @property
    def plain(self) -> BaselineTemporal:
        return BaselineTemporal(self.plain_temporal, self.book)

    @contextmanager
    def dbos(self, worker: WorkerProcess) -> Iterator[BaselineDbos]:
        implementation = BaselineDbos(int(worker.start_message), self.dbos_pool, self.book)
        try:
            yield implementation
        finally:
            implementation.close()

    def our_worker(
        self, pollers: str = "default", *, cached_workflows: int = DEFAULT_CACHED_WORKFLOWS
    ) -> AbstractAsyncContextManager[WorkerProcess]:
        return self._worker(
            "benchmarks.worker", self.temporal_address, self.worker_url, pollers, str(cached_workflows)
        )

    def plain_worker(self) -> AbstractAsyncContextManager[WorkerProcess]:
        return self._worker("benchmarks.baseline_temporal.worker", self.temporal_address, self.plain_url)

    def dbos_worker(self) -> AbstractAsyncContextManager[WorkerProcess]:
        return self._worker("benchmarks.baseline_dbos.worker", self.dbos_url)

    def _worker(self, module: str, *arguments: str) -> AbstractAsyncContextManager[WorkerProcess]:
        return worker_process(module, *arguments, on_fault=self.on_fault)


@asynccontextmanager
async def open_environment(
    directory: Path, on_progress: Callable[[str], None], on_fault: Callable[[str], None]
) -> AsyncIterator[BenchmarkEnvironment]:
    """Start fresh servers with their data in the directory; set up everything except workers."""
    async with (
        EmbeddedStack(directory, search_attributes={}, on_progress=on_progress) as stack,
        open_environment_on(stack, on_progress, on_fault) as environment,
    ):
        yield environment


@asynccontextmanager
async def open_environment_on(
    stack: EmbeddedStack, on_progress: Callable[[str], None], on_fault: Callable[[str], None]
) -> AsyncIterator[BenchmarkEnvironment]:
    """Set up everything except workers on servers that run."""
    catalogue = read_catalogue(DEFAULT_CATALOGUE)
    # All requests come from one customer, so the number of its trials is not limited.
    trial = catalogue.trial.model_copy(update={"per_customer": None})
    catalogue = catalogue.model_copy(update={"effective_from": _SOLD_SINCE, "trial": trial})
    address = stack.addresses.temporal_address
    temporal = await Client.connect(address, data_converter=data_converter())
    our_url, plain_url, dbos_url = [
        await stack.postgres.ensure_database(name) for name in (_OURS, "plain", "dbos")
    ]
    await set_up(temporal, our_url, catalogue)
    for url in (plain_url, dbos_url):
        await _create_tables(url)
    worker_url, reader_url = [stack.postgres.dsn(_OURS, login) for login in (WORKER, READER_LOGIN)]
    async with AsyncExitStack() as running:
        enter = running.enter_async_context
        yield BenchmarkEnvironment(
            temporal_address=address,
            worker_url=worker_url,
            reader_url=reader_url,
            plain_url=plain_url,
            dbos_url=dbos_url,
            book=PriceBook(versions=(catalogue.without_texts(),)),
            temporal=temporal,
            plain_temporal=await Client.connect(address),
            owner=await enter(asyncpg.create_pool(our_url, min_size=1, max_size=2)),
            reader=await enter(create_pool(reader_url, "worksub_reader")),
            dbos_pool=await enter(asyncpg.create_pool(dbos_url, min_size=1, max_size=2)),
            servers=ServerProcesses(stack.temporal.pid, stack.postgres.pid),
            on_progress=on_progress,
            on_fault=on_fault,
        )


async def _create_tables(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(SCHEMA)
    finally:
        await connection.close()
