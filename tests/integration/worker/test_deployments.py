"""Workers as versions of a deployment: subscriptions continue across builds, also backwards."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from support.polling import gather_all, wait_for
from support.service_env import unique_name
from support.subscription_driver import SubscriptionDriver
from support.worker_env import WorkerEnv, open_worker_env
from support.worker_process import worker_process
from temporalio.api.enums.v1 import TaskQueueType, VersioningBehavior
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueResponse, ListTaskQueuePartitionsRequest
from temporalio.client import Client

from adapters.temporal.client import TASK_QUEUE
from adapters.temporal.task_queue import describe_task_queue
from dev_stack.stack import EmbeddedStack
from entrypoints.cli.doctor import check_temporal
from entrypoints.cli.worker_versions import idle_version

DEPLOYMENT = "worksub"
UNVERSIONED = ""
"""The build ID by which the server describes workers without a build."""
TEMPORAL = Path(sys.executable).with_name("temporal")


@pytest.fixture
async def worker_env(stack: EmbeddedStack, tmp_path: Path) -> AsyncIterator[WorkerEnv]:
    async with open_worker_env(stack, tmp_path) as opened:
        yield opened


@asynccontextmanager
async def working(worker_env: WorkerEnv, build: str | None = None) -> AsyncIterator[None]:
    """Run a worker process of this build, or without a build; stop it gracefully, as deployments do."""
    version = {"TEMPORAL_DEPLOYMENT_NAME": DEPLOYMENT, "TEMPORAL_WORKER_BUILD_ID": build} if build else {}
    async with worker_process({**worker_env.settings, **version}, worker_env.home) as worker:
        await worker.says(
            f"Build {build} of deployment {DEPLOYMENT}: it gets work" if build else "Working on"
        )
        yield
        worker.send(signal.SIGTERM)
        assert await worker.exit_code() == 0


async def make_current(worker_env: WorkerEnv, build: str) -> None:
    """Make a build current as soon as the server has it; return when all tasks are routed to it."""
    connection = {name: value for name, value in worker_env.settings.items() if name.startswith("TEMPORAL_")}

    async def accepted() -> bool:
        process = await asyncio.create_subprocess_exec(
            *(TEMPORAL, "worker", "deployment", "set-current-version", "--yes"),
            *("--deployment-name", DEPLOYMENT),
            *(("--unversioned",) if build == UNVERSIONED else ("--build-id", build)),
            env={**connection, "HOME": str(worker_env.home)},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        return await process.wait() == 0

    async def routed() -> bool:
        # The deployment's own state can stay IN_PROGRESS if another version is synchronized meanwhile.
        return {build} == {
            queue.versioning_info.current_deployment_version.build_id
            for queue in await partitions_of(worker_env.service_env.temporal)
        }

    await wait_for(f"{build} is the current version", accepted)
    await wait_for(f"{build} is the current version of every queue", routed)


async def partitions_of(temporal: Client) -> list[DescribeTaskQueueResponse]:
    """Describe every partition of the task queue, for workflow tasks and for activity tasks."""
    listed = await temporal.workflow_service.list_task_queue_partitions(
        ListTaskQueuePartitionsRequest(namespace=temporal.namespace, task_queue=TaskQueue(name=TASK_QUEUE))
    )
    kinds = {
        TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW: listed.workflow_task_queue_partitions,
        TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY: listed.activity_task_queue_partitions,
    }
    return [
        await describe_task_queue(temporal, partition.key, kind)
        for kind, partitions in kinds.items()
        for partition in partitions
    ]


async def doctor_reports(worker_env: WorkerEnv, what: str) -> None:
    """Wait until `worksub doctor` reports this about the workers."""

    async def reported() -> bool:
        findings = {
            finding.what: finding async for finding in check_temporal(worker_env.service_env.temporal)
        }
        return f"{findings['worker'].verdict}: {findings['worker'].text}" == what

    await wait_for(f"the doctor reports {what}", reported)


async def build_of(subscription: SubscriptionDriver) -> str:
    """Return the build of the last workflow task; empty for a worker without a version."""
    info = (await subscription.handle.describe()).raw_description.workflow_execution_info.versioning_info
    if info.HasField("deployment_version"):
        assert info.behavior == VersioningBehavior.VERSIONING_BEHAVIOR_AUTO_UPGRADE
    return info.deployment_version.build_id


async def paid(worker_env: WorkerEnv) -> SubscriptionDriver:
    subscription = await worker_env.service_env.requested()
    await subscription.send("switch_to_paid", date=f"{await subscription.today()}", term="MONTHLY")
    return subscription


async def rename_after_months(subscriptions: list[SubscriptionDriver], *, months: int) -> list[str]:
    """Rename each subscription this many months after its start; return the builds that executed it."""

    async def one(subscription: SubscriptionDriver) -> str:
        started = (await subscription.status()).started_at
        assert started is not None
        await subscription.advance_clock_to(started + timedelta(days=31 * months))
        await subscription.send("rename_account", group=unique_name("goes-on"))
        return await build_of(subscription)

    return await gather_all(one(subscription) for subscription in subscriptions)


async def test_subscriptions_continue_across_builds_and_back(worker_env: WorkerEnv) -> None:
    async with working(worker_env):
        older = await paid(worker_env)
        assert await build_of(older) == ""

    async with working(worker_env, "0.1.0"):
        await make_current(worker_env, "0.1.0")
        subscriptions = [older, await paid(worker_env)]
        assert await rename_after_months(subscriptions, months=1) == ["0.1.0", "0.1.0"]

        async with working(worker_env, "0.2.0"):
            # The server has this build, but routes no tasks to it yet.
            assert await rename_after_months(subscriptions, months=2) == ["0.1.0", "0.1.0"]
            await make_current(worker_env, "0.2.0")
            assert await rename_after_months(subscriptions, months=3) == ["0.2.0", "0.2.0"]
            await make_current(worker_env, "0.1.0")
            assert await rename_after_months(subscriptions, months=4) == ["0.1.0", "0.1.0"]

    async with working(worker_env):
        await make_current(worker_env, UNVERSIONED)
        assert await rename_after_months(subscriptions, months=6) == ["", ""]

    for subscription in subscriptions:
        assert (await subscription.events()).count("ACCOUNT_RENAMED") == 5
        fees = [(line.first_day, line.end_day) for line in await subscription.ledger()]
        assert len(fees) >= 6  # one for each calendar month that has ended
        assert all(end == begin for (_, end), (begin, _) in pairwise(fees))
        assert await subscription.failed_tasks() == []


async def test_doctor_reports_workers_without_tasks(worker_env: WorkerEnv) -> None:
    async with working(worker_env, "0.1.0"):
        await doctor_reports(
            worker_env,
            "MISSING: Only build 0.1.0 of deployment worksub is running, but Temporal routes tasks to "
            "unversioned workers: `temporal worker deployment set-current-version "
            "--deployment-name worksub --build-id 0.1.0`.",
        )
        await make_current(worker_env, "0.1.0")
        await doctor_reports(worker_env, f"OK: A worker polls task queue {TASK_QUEUE}.")
    stopped = datetime.now(UTC)

    async def advice() -> str | None:
        return await idle_version(worker_env.service_env.temporal, stopped)

    async with working(worker_env):
        message = await wait_for("the advice is logged", advice)
        assert (
            message
            == "Temporal routes tasks to build 0.1.0 of deployment worksub: run a worker of this version."
        )
