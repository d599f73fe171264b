"""`python -m benchmarks.baseline_temporal.worker SOCKET ADDRESS DATABASE_URL`: a default worker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks.baseline_temporal.activities import PlainActivities
from benchmarks.baseline_temporal.tables import CONNECTIONS, Tables
from benchmarks.baseline_temporal.workflow import TASK_QUEUE, PlainSubscription
from benchmarks.worker_protocol import serve


@asynccontextmanager
async def working(temporal_address: str, database_url: str) -> AsyncIterator[str]:
    client = await Client.connect(temporal_address)
    async with asyncpg.create_pool(database_url, min_size=1, max_size=CONNECTIONS) as pool:
        activities = PlainActivities(Tables(pool))
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
            yield "Working."


if __name__ == "__main__":
    serve(working)
