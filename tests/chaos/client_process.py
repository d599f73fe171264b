"""A client in its own process. It reads requests from standard input, one JSON object per line.

It writes the responses. Requests with an API token go to the HTTP API, the others to Temporal.

Arguments: the URL of the database, for a login that may read, and that of the API.
"""

import asyncio
import gc
import json
import sys
from typing import Any

import httpx

from adapters.postgres.pool import create_pool
from adapters.temporal.client import connect
from chaos.polling import ApiAwayError, patiently, quiet
from entrypoints.api.problem_details import ApiCode
from starter.client import SubscriptionClient
from subscription.refusals import RefusalError

SIMULATED_AT = "X-Simulated-At"
"""The header that says when something is asked: no field of the API does."""

# Longer than the API's own timeout.
_PATIENCE_SECONDS = 40
_TRY_AGAIN = (
    ApiCode.RATE_LIMITED,
    ApiCode.DATABASE_UNREACHABLE,
    ApiCode.TEMPORAL_UNREACHABLE,
    ApiCode.TIMEOUT,
)
"""What docs/api.md says to send again for, under the same key."""


class SaidNoError(Exception):
    """An error response of the API, with its code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Client:
    """Send the same requests in two ways: to Temporal and to the API."""

    def __init__(self, temporal: SubscriptionClient, api: httpx.AsyncClient) -> None:
        self._temporal = temporal
        self._api = api

    async def answered(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Return `accepted` with the response, or with the code of the refusal."""
        ask = self._ask_the_api if asked["token"] else self._ask_temporal
        heard = {"number": asked["number"], "accepted": False, "code": None, "answer": None}
        try:
            return heard | {"accepted": True, "answer": await patiently(lambda: ask(asked))}
        except RefusalError as refusal:
            return heard | {"code": refusal.refused.code}
        except SaidNoError as no:
            return heard | {"code": no.code}
        except Exception as error:  # only a refusal is a valid response; report the error to the verifier
            return heard | {"code": repr(error)}

    async def _ask_temporal(self, asked: dict[str, Any]) -> Any:
        if asked["command"] == "request":
            answer: Any = await self._temporal.request(asked["argument"])
        else:
            answer = await self._temporal.command(
                asked["subscription_id"], asked["command"], asked["argument"]
            )
        return answer.model_dump(mode="json")

    async def _ask_the_api(self, asked: dict[str, Any]) -> Any:
        """Over HTTP, the command ID is the idempotency key, and the time is in a header."""
        argument, path, own = dict(asked["argument"]), "/v1/subscriptions", ("request_id", "simulated_at")
        if asked["command"] != "request":
            path, own = (
                f"{path}/{asked['subscription_id']}/{asked['command'].replace('_', '-')}",
                ("id", "at"),
            )
        key, at = (argument.pop(name) for name in own)
        headers = {"Authorization": f"Bearer {asked['token']}", "Idempotency-Key": key, SIMULATED_AT: at}
        answer = await self._api.post(path, json=argument, headers=headers)
        if answer.is_success:
            return answer.json()
        code = answer.json()["code"]
        if code not in _TRY_AGAIN:
            raise SaidNoError(code)
        await asyncio.sleep(int(answer.headers.get("Retry-After", 0)))
        raise ApiAwayError(code)


async def main(database_url: str, api_url: str) -> None:
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )

    async def tell(client: Client, asked: dict[str, Any]) -> None:
        print(json.dumps(await client.answered(asked)), flush=True)

    asking: set[asyncio.Task[None]] = set()
    async with (
        create_pool(database_url, "worksub_reader") as pool,
        httpx.AsyncClient(base_url=api_url, timeout=_PATIENCE_SECONDS) as api,
    ):
        client = Client(SubscriptionClient(await connect(runtime=quiet()), pool), api)
        print("ready", flush=True)
        while line := await reader.readline():
            task = asyncio.create_task(tell(client, json.loads(line)))
            asking.add(task)
            task.add_done_callback(asking.discard)
        for task in asking:  # no process reads the responses any more
            task.cancel()


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    finally:
        gc.collect()  # as worker.py does
