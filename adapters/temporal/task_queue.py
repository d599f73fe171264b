"""Task queues: their description and pollers."""

from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, DescribeTaskQueueResponse
from temporalio.client import Client

from adapters.temporal.client import TASK_QUEUE

# The server lists pollers for minutes after they stop; a running worker polls again within a minute.
POLLER_TIMEOUT = timedelta(seconds=70)


async def describe_task_queue(
    client: Client,
    name: str = TASK_QUEUE,
    kind: TaskQueueType.ValueType = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
) -> DescribeTaskQueueResponse:
    """Return the pollers and the version routing of a task queue."""
    return await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace, task_queue=TaskQueue(name=name), task_queue_type=kind
        )
    )


async def is_worked_on(client: Client) -> bool:
    """Return whether a worker has recently polled the task queue of subscriptions."""
    queue = await describe_task_queue(client)
    earliest = datetime.now(UTC) - POLLER_TIMEOUT
    return any(poller.last_access_time.ToDatetime(UTC) > earliest for poller in queue.pollers)
