"""Clock skew between this machine, PostgreSQL and Temporal."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, PollActivityTaskQueueRequest
from temporalio.client import Client

from adapters.postgres.pool import Pool

# Nobody gives work to this queue; the server notes when it was last asked for some.
_QUEUE = TaskQueue(name="worksub-doctor")
_POLL_SECONDS = 5
_PAUSE_SECONDS = 0.02


async def temporals_clock(client: Client) -> timedelta:
    """How far Temporal's clock is ahead of this machine's; below zero where it is behind.

    The server tells its time to nobody, so it is asked for work, and then when that was.
    """
    identity = f"doctor-{uuid.uuid4()}"
    poll = asyncio.ensure_future(
        client.workflow_service.poll_activity_task_queue(
            PollActivityTaskQueueRequest(namespace=client.namespace, task_queue=_QUEUE, identity=identity),
            timeout=timedelta(seconds=_POLL_SECONDS),
        )
    )
    try:
        return await _ahead(lambda: _asked_at(client, identity, poll))
    finally:
        poll.cancel()


async def _asked_at(client: Client, identity: str, poll: "asyncio.Future[Any]") -> datetime:
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=_QUEUE,
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    )
    while not poll.done():
        answer = await client.workflow_service.describe_task_queue(request)
        for poller in answer.pollers:
            if poller.identity == identity:
                return poller.last_access_time.ToDatetime(UTC)
        await asyncio.sleep(_PAUSE_SECONDS)
    await poll
    raise TimeoutError


async def postgresqls_clock(pool: Pool) -> timedelta:
    """How far PostgreSQL's clock is ahead of this machine's; below zero where it is behind."""
    return await _ahead(lambda: pool.fetchval("SELECT clock_timestamp()"))


async def _ahead(ask: Callable[[], Awaitable[datetime]]) -> timedelta:
    before = datetime.now(UTC)
    told = await ask()
    return difference(told, before, datetime.now(UTC))


def difference(told: datetime, before: datetime, after: datetime) -> timedelta:
    """How far what was told is from the time between asking and hearing; nothing if it lies within."""
    if told < before:
        return told - before
    return max(told - after, timedelta(0))
