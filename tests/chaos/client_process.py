"""A client in its own process. It reads requests from standard input, one JSON object per line.

It writes the responses. Requests with an API token go to the HTTP API, the others to Temporal.

Arguments: the URL of the database, for a login that may read, and that of the API.
"""

import asyncio
import gc
import json
import os
import sys
from typing import Any

import httpx

from adapters.postgres.pool import create_pool
from adapters.temporal.client import connect
from adapters.temporal.encryption_keys import keyring_from
from chaos.polling import ApiAwayError, quiet, retry_while_unavailable
from entrypoints.api.problem_details import ApiCode
from starter.client import SubscriptionClient
from subscription.refusals import RefusalError

SIMULATED_AT = "X-Simulated-At"
"""The header with the simulated time of a request; the API has no field for it."""

# Longer than the API's own timeout.
_PATIENCE_SECONDS = 40
_TRY_AGAIN = (
    ApiCode.RATE_LIMITED,
    ApiCode.DATABASE_UNREACHABLE,
    ApiCode.TEMPORAL_UNREACHABLE,
    ApiCode.TIMEOUT,
    ApiCode.WORKFLOW_STUCK,
)
"""The error codes after which docs/api.md requires a repetition with the same key."""


class ApiRefusalError(Exception):
    """An error response of the API, with its code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Client:
    """Send the same requests in two ways: to Temporal and to the API."""

    def __init__(self, temporal: SubscriptionClient, api: httpx.AsyncClient) -> None:
        self._temporal = temporal
        self._api = api

    async def response_to(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return `accepted` with the response, or with the code of the refusal."""
        send = self._send_to_api if request["token"] else self._send_to_temporal
        response = {"number": request["number"], "accepted": False, "code": None, "answer": None}
        try:
            return response | {
                "accepted": True,
                "answer": await retry_while_unavailable(lambda: send(request)),
            }
        except RefusalError as refusal:
            return response | {"code": refusal.refused.code}
        except ApiRefusalError as error:
            return response | {"code": error.code}
        except Exception as error:  # only a refusal is a valid response; report the error to the verifier
            return response | {"code": repr(error)}

    async def _send_to_temporal(self, request: dict[str, Any]) -> Any:
        if request["command"] == "request":
            answer: Any = await self._temporal.request(request["argument"])
        else:
            answer = await self._temporal.command(
                request["subscription_id"], request["command"], request["argument"]
            )
        return answer.model_dump(mode="json")

    async def _send_to_api(self, request: dict[str, Any]) -> Any:
        """Over HTTP, the command ID is the idempotency key, and the time is in a header."""
        argument, path, own = dict(request["argument"]), "/v1/subscriptions", ("request_id", "simulated_at")
        if request["command"] != "request":
            path, own = (
                f"{path}/{request['subscription_id']}/{request['command'].replace('_', '-')}",
                ("id", "at"),
            )
        key, at = (argument.pop(name) for name in own)
        headers = {"Authorization": f"Bearer {request['token']}", "Idempotency-Key": key, SIMULATED_AT: at}
        answer = await self._api.post(path, json=argument, headers=headers)
        if answer.is_success:
            return answer.json()
        code = answer.json()["code"]
        if code not in _TRY_AGAIN:
            raise ApiRefusalError(code)
        await asyncio.sleep(int(answer.headers.get("Retry-After", 0)))
        raise ApiAwayError(code)


async def main(database_url: str, api_url: str) -> None:
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )

    async def respond(client: Client, request: dict[str, Any]) -> None:
        print(json.dumps(await client.response_to(request)), flush=True)

    tasks: set[asyncio.Task[None]] = set()
    async with (
        create_pool(database_url, "worksub_reader") as pool,
        httpx.AsyncClient(base_url=api_url, timeout=_PATIENCE_SECONDS) as api,
    ):
        temporal = await connect(keyring_from(os.environ), runtime=quiet())
        client = Client(SubscriptionClient(temporal, pool), api)
        print("ready", flush=True)
        while line := await reader.readline():
            task = asyncio.create_task(respond(client, json.loads(line)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        for task in tasks:  # no process reads the responses any more
            task.cancel()


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    finally:
        gc.collect()  # as worker.py does
