"""Webhook dispatcher without a database: the end of its loop."""

import asyncio
from datetime import timedelta
from unittest.mock import Mock

import pytest

from adapters.postgres import webhook_outbox
from adapters.webhooks.dispatcher import Dispatcher


@pytest.mark.parametrize("steps", range(5))
async def test_cancellation_just_after_a_batch_ends_the_loop(
    monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    polled = asyncio.Event()

    async def no_endpoints(pool: object) -> list[object]:
        polled.set()
        return []

    monkeypatch.setattr(webhook_outbox, "ready_endpoints", no_endpoints)
    dispatcher = Dispatcher(Mock(), Mock(), lease=timedelta(seconds=1), poll_seconds=60)
    working = asyncio.create_task(dispatcher.work())
    await polled.wait()
    await asyncio.sleep(0)
    dispatcher._more.set()  # as at the end of a batch
    for _ in range(steps):
        await asyncio.sleep(0)
    working.cancel()
    ended, _ = await asyncio.wait([working], timeout=5)
    assert ended
    assert working.cancelled()
