"""A client in a process of its own. It reads what to ask, one JSON object a line, and writes the answers.

Argument: the URL of the database, for a login that may read.
"""

import asyncio
import gc
import json
import sys
from typing import Any

from activities.database import connected
from chaos.patience import patiently, quiet
from starter.client import SubscriptionClient
from subscription.refusals import RefusedError
from workflows.connection import connect


async def answered(client: SubscriptionClient, asked: dict[str, Any]) -> dict[str, Any]:
    """What came of it: `accepted`, with the answer, or with the code of the refusal."""

    async def ask() -> Any:
        if asked["command"] == "request":
            return await client.request(asked["argument"])
        return await client.command(asked["subscription_id"], asked["command"], asked["argument"])

    try:
        answer = (await patiently(ask)).model_dump(mode="json")
    except RefusedError as refusal:
        return {"number": asked["number"], "accepted": False, "code": refusal.refused.code, "answer": None}
    except Exception as error:  # nothing but a refusal is an answer; the judge shall hear of it
        return {"number": asked["number"], "accepted": False, "code": repr(error), "answer": None}
    return {"number": asked["number"], "accepted": True, "code": None, "answer": answer}


async def main(database_url: str) -> None:
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )

    async def tell(client: SubscriptionClient, asked: dict[str, Any]) -> None:
        print(json.dumps(await answered(client, asked)), flush=True)

    asking: set[asyncio.Task[None]] = set()
    async with connected(database_url, "worksub_reader") as pool:
        client = SubscriptionClient(await connect(runtime=quiet()), pool)
        print("ready", flush=True)
        while line := await reader.readline():
            task = asyncio.create_task(tell(client, json.loads(line)))
            asking.add(task)
            task.add_done_callback(asking.discard)
        for task in asking:  # nobody listens any more
            task.cancel()


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1]))
    finally:
        gc.collect()  # as worker.py does
