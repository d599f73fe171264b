"""`python -m benchmarks.baseline_dbos.worker SOCKET DATABASE_URL`: the DBOS application.

DBOS runs workflows in the process that starts them, so this process also serves requests, over a socket like
a web application. A request is one line, and so is its response.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg
from dbos import DBOS

from benchmarks.baseline_dbos import workflow
from benchmarks.baseline_temporal.tables import CONNECTIONS, Agreement, Request, Start, Switch, Tables
from benchmarks.worker_protocol import serve

_LONGEST_LINE = 1_000_000


@asynccontextmanager
async def working(database_url: str) -> AsyncIterator[str]:
    """Run the application and yield its port."""
    async with asyncpg.create_pool(database_url, min_size=1, max_size=CONNECTIONS) as pool:
        workflow.use(Tables(pool))
        DBOS(
            config={
                "name": "plain",
                "system_database_url": database_url,
                "sys_db_pool_size": CONNECTIONS,
                "application_version": "1",
                "log_level": "ERROR",
            }
        )
        DBOS.launch()
        server = await asyncio.start_server(_serve_connection, "127.0.0.1", 0, limit=_LONGEST_LINE)
        async with server:
            _, port = server.sockets[0].getsockname()
            yield str(port)
            # Waiting workflows are not ended: as after a kill, the next process recovers them.
            os._exit(0)


async def _serve_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(json.dumps(await _handle(json.loads(line))).encode() + b"\n")
        await writer.drain()
    writer.close()


async def _handle(message: dict[str, object]) -> object:
    match message:
        case {"request": dict(fields), "paid_from": paid_from}:
            request = Request(**{**fields, "agreed_terms": [Agreement(**t) for t in fields["agreed_terms"]]})
            start = Start(request, datetime.fromisoformat(paid_from) if isinstance(paid_from, str) else None)
            await workflow.begin(start)
            if start.paid_from is None:
                await workflow.trial_started(request.subscription_id)
            return request.subscription_id
        case {"switch": str(at), "subscription_id": str(subscription_id)}:
            await workflow.switch_to_paid(subscription_id, Switch(datetime.fromisoformat(at)))
            return subscription_id
    raise ValueError("The message is neither a request nor a switch.")


if __name__ == "__main__":
    serve(working)
