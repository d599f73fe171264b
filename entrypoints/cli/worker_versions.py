"""Check that the running worker versions receive tasks."""

from collections.abc import Iterator
from datetime import UTC, datetime

from temporalio.api.enums.v1 import WorkerVersioningMode
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueueVersioningInfo
from temporalio.client import Client
from temporalio.common import WorkerDeploymentVersion

from adapters.temporal.task_queue import describe_task_queue


async def idle_version(client: Client, since: datetime) -> str | None:
    """Return the next step if no worker that polled since then receives tasks; None if one does."""
    queue = await describe_task_queue(client)
    polling = {
        _version_of(poller) for poller in queue.pollers if poller.last_access_time.ToDatetime(UTC) > since
    }
    current = {*_current_versions(queue.versioning_info)}
    if polling & current:
        return None
    idle = next((version for version in polling if version), None)
    if idle is None:
        return f"Temporal routes tasks to {' and '.join(map(_named, current))}: run a worker of this version."
    return (
        f"Only {_named(idle)} is running, but Temporal routes tasks to {' and '.join(map(_named, current))}: "
        f"`temporal worker deployment set-current-version --deployment-name {idle.deployment_name} "
        f"--build-id {idle.build_id}`."
    )


def _version_of(poller: PollerInfo) -> WorkerDeploymentVersion | None:
    options = poller.deployment_options
    if options.worker_versioning_mode != WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED:
        return None
    return WorkerDeploymentVersion(options.deployment_name, options.build_id)


def _current_versions(info: TaskQueueVersioningInfo) -> Iterator[WorkerDeploymentVersion | None]:
    """Yield the versions that receive tasks; None for unversioned workers."""
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
        return "unversioned workers"
    return f"build {version.build_id} of deployment {version.deployment_name}"
