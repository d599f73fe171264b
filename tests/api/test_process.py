"""`worksub api` in a separate process: graceful stop, and SIGKILL during a request."""

import asyncio
import signal
import socket

import httpx
from support.api_process import api_process
from support.polling import PATIENCE_SECONDS, wait_for
from support.service_env import open_service_env
from temporalio.client import Client

from adapters.postgres.pool import create_pool
from adapters.temporal.client import TASK_QUEUE
from dev_stack.stack import EmbeddedStack
from starter.api_keys import ApiKeyStore


async def test_api_killed_during_request_loses_and_repeats_nothing(
    stack: EmbeddedStack, temporal: Client
) -> None:
    async with open_service_env(stack, temporal, works=False, task_queue=TASK_QUEUE) as service_env:
        async with create_pool(service_env.reader_url, "worksub_admin", connections=1) as pool:
            token = (await ApiKeyStore(pool).create("C-killed", "")).token
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        body = service_env.request_body(customer_id="C-killed")
        del body["request_id"]
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "order-4711"}
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=40
        ) as http:
            async with api_process(service_env, port) as first:
                # No worker runs yet, so the request is still pending when the process is killed.
                pending = asyncio.create_task(http.post("/v1/subscriptions", json=body))
                await wait_for("the workflow has begun", lambda: workflow_started(temporal))
                first.kill()
                [outcome] = await asyncio.gather(pending, return_exceptions=True)
                assert isinstance(outcome, httpx.HTTPError)
            async with service_env.worker(), api_process(service_env, port, forked=False) as second:
                answer = await http.post("/v1/subscriptions", json=body)
                assert answer.status_code == 201
                listed = (await http.get("/v1/subscriptions")).json()["items"]
                assert [each["subscription_id"] for each in listed] == [answer.json()["subscription_id"]]
                second.send_signal(signal.SIGTERM)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    assert await second.wait() == 0


async def workflow_started(temporal: Client) -> bool:
    query = f"TaskQueue = '{TASK_QUEUE}' AND ExecutionStatus = 'Running'"
    return (await temporal.count_workflows(query)).count > 0
