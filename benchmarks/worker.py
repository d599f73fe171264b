"""`python -m benchmarks.worker SOCKET ADDRESS DATABASE_URL POLLERS CACHED`: the worker of `worker.py`.

`POLLERS` is `default`, `autoscaled`, or `fixed` for five of each kind, which is the SDK's default. `CACHED`
is the number of workflows for which the worker's cache has room.
"""

import gc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from temporalio.client import Client
from temporalio.worker import PollerBehavior, PollerBehaviorAutoscaling, PollerBehaviorSimpleMaximum

from adapters.postgres.pool import create_pool
from adapters.postgres.worker_keys import worker_signer
from adapters.temporal.data_converter import data_converter
from benchmarks.worker_protocol import serve
from worker import POLLERS, create_worker

_POLLERS: Mapping[str, PollerBehavior] = {
    "default": POLLERS,
    "autoscaled": PollerBehaviorAutoscaling(),
    "fixed": PollerBehaviorSimpleMaximum(),
}


@asynccontextmanager
async def working(
    temporal_address: str, database_url: str, pollers: str, cached_workflows: str
) -> AsyncIterator[str]:
    gc.freeze()  # as adapters/worker_process.py does
    client = await Client.connect(temporal_address, data_converter=data_converter())
    async with (
        create_pool(database_url, "worksub_worker") as pool,
        create_worker(
            client,
            pool,
            await worker_signer(pool),
            pollers=_POLLERS[pollers],
            cached_workflows=int(cached_workflows),
        ),
    ):
        yield "Working."


if __name__ == "__main__":
    serve(working)
