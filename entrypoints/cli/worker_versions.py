"""Check that the running worker versions receive tasks."""

from collections.abc import Iterator
from datetime import UTC, datetime

from temporalio.api.enums.v1 import TaskQueueType, WorkerVersioningMode
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue, TaskQueueVersioningInfo
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.common import WorkerDeploymentVersion

from adapters.temporal.client import TASK_QUEUE


async def idle_version(client: Client, since: datetime) -> str | None:
    """What to do if Temporal gives nothing to the workers that asked since then; None if one gets tasks."""
    queue = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=TASK_QUEUE),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    working = {
        _version_of(poller) for poller in queue.pollers if poller.last_access_time.ToDatetime(UTC) > since
    }
    served = {*_served(queue.versioning_info)}
    if working & served:
        return None
    idle = next((version for version in working if version), None)
    if idle is None:
        return f"Temporal gives the tasks to {' and '.join(map(_named, served))}: run a worker of it."
    return (
        f"Only {_named(idle)} is there, and Temporal gives the tasks to {' and '.join(map(_named, served))}: "
        f"`temporal worker deployment set-current-version --deployment-name {idle.deployment_name} "
        f"--build-id {idle.build_id}`."
    )


def _version_of(poller: PollerInfo) -> WorkerDeploymentVersion | None:
    options = poller.deployment_options
    if options.worker_versioning_mode != WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED:
        return None
    return WorkerDeploymentVersion(options.deployment_name, options.build_id)


def _served(info: TaskQueueVersioningInfo) -> Iterator[WorkerDeploymentVersion | None]:
    """The versions that get tasks; None are the workers without one."""
    versions = [info.current_deployment_version]
    if info.ramping_version_percentage > 0:
        versions.append(info.ramping_deployment_version)
    for version in versions:
        if version.build_id:
            yield WorkerDeploymentVersion(version.deployment_name, version.build_id)
        else:
            yield None


def _named(version: WorkerDeploymentVersion | None) -> str:
    if version is None:
        return "workers without a version"
    return f"build {version.build_id} of deployment {version.deployment_name}"
