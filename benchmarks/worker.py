"""`python -m benchmarks.worker SOCKET ADDRESS DATABASE_URL`: the worker as `worker.py` runs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio.client import Client

from adapters.postgres.pool import create_pool
from adapters.postgres.worker_keys import worker_signer
from adapters.temporal.data_converter import data_converter
from benchmarks.worker_protocol import serve
from worker import create_worker


@asynccontextmanager
async def working(temporal_address: str, database_url: str) -> AsyncIterator[str]:
    client = await Client.connect(temporal_address, data_converter=data_converter())
    async with (
        create_pool(database_url, "worksub_worker") as pool,
        create_worker(client, pool, await worker_signer(pool)),
    ):
        yield "Working."


if __name__ == "__main__":
    serve(working)
