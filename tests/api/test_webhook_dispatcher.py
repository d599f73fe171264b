"""The end of the webhook dispatcher's loop."""

import asyncio
from datetime import timedelta

import pytest
from support.service_env import ServiceEnv

from adapters.postgres import webhook_outbox
from adapters.postgres.pool import Pool
from adapters.webhooks.dispatcher import Dispatcher
from adapters.webhooks.fairness import ReadyEndpoint
from adapters.webhooks.http_client import WebhookHttpClient


async def test_cancellation_just_after_a_batch_ends_the_loop(
    isolated_env: ServiceEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    polled = asyncio.Event()
    ready_endpoints = webhook_outbox.ready_endpoints

    async def observed(pool: Pool) -> list[ReadyEndpoint]:
        found = await ready_endpoints(pool)
        polled.set()
        return found

    monkeypatch.setattr(webhook_outbox, "ready_endpoints", observed)
    async with WebhookHttpClient(allow_private_targets=True, timeout=1) as client:
        for steps in range(5):
            polled.clear()
            dispatcher = Dispatcher(isolated_env.pool, client, lease=timedelta(seconds=2), poll_seconds=60)
            working = asyncio.create_task(dispatcher.work())
            await polled.wait()
            await asyncio.sleep(0)
            dispatcher._more.set()  # as at the end of a batch
            for _ in range(steps):
                await asyncio.sleep(0)
            working.cancel()
            ended, _ = await asyncio.wait([working], timeout=60)
            assert ended, steps
            assert working.cancelled()
