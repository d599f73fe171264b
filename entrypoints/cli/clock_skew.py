"""Clock skew between this machine, PostgreSQL and Temporal."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import PollActivityTaskQueueRequest
from temporalio.client import Client

from adapters.postgres.pool import Pool
from adapters.temporal.task_queue import describe_task_queue

# No tasks are ever scheduled on this queue. The server records the time of the last poll.
_QUEUE = TaskQueue(name="worksub-doctor")
_POLL_SECONDS = 5
_PAUSE_SECONDS = 0.02


async def temporal_clock_offset(client: Client) -> timedelta:
    """Return the offset of Temporal's clock from this machine's; negative if Temporal is behind.

    The API has no call for the server's time. A poll of an empty task queue makes the server record one.
    """
    identity = f"doctor-{uuid.uuid4()}"
    poll = asyncio.ensure_future(
        client.workflow_service.poll_activity_task_queue(
            PollActivityTaskQueueRequest(namespace=client.namespace, task_queue=_QUEUE, identity=identity),
            timeout=timedelta(seconds=_POLL_SECONDS),
        )
    )
    try:
        return await _offset(lambda: _poll_time(client, identity, poll))
    finally:
        poll.cancel()


async def _poll_time(client: Client, identity: str, poll: "asyncio.Future[Any]") -> datetime:
    while not poll.done():
        queue = await describe_task_queue(client, _QUEUE.name, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
        for poller in queue.pollers:
            if poller.identity == identity:
                return poller.last_access_time.ToDatetime(UTC)
        await asyncio.sleep(_PAUSE_SECONDS)
    await poll
    raise TimeoutError


async def postgres_clock_offset(pool: Pool) -> timedelta:
    """Return the offset of PostgreSQL's clock from this machine's; negative if PostgreSQL is behind."""
    return await _offset(lambda: pool.fetchval("SELECT clock_timestamp()"))


async def _offset(read_clock: Callable[[], Awaitable[datetime]]) -> timedelta:
    before = datetime.now(UTC)
    reported = await read_clock()
    return difference(reported, before, datetime.now(UTC))


def difference(reported: datetime, before: datetime, after: datetime) -> timedelta:
    """Return the distance of the reported time from the interval of the call; zero inside the interval."""
    if reported < before:
        return reported - before
    return max(reported - after, timedelta(0))
