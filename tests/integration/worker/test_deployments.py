"""Workers as versions of a deployment: lives go on from build to build, back and forth, and none is lost."""

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
from temporalio.api.enums.v1 import RoutingConfigUpdateState, VersioningBehavior
from temporalio.api.workflowservice.v1 import DescribeWorkerDeploymentRequest

from adapters.temporal.client import TASK_QUEUE
from dev_stack.stack import EmbeddedStack
from entrypoints.cli.doctor import temporal_findings
from entrypoints.cli.worker_versions import idle_version

DEPLOYMENT = "worksub"
TEMPORAL = Path(sys.executable).with_name("temporal")


@pytest.fixture
async def office(stack: EmbeddedStack, tmp_path: Path) -> AsyncIterator[WorkerEnv]:
    async with open_worker_env(stack, tmp_path) as opened:
        yield opened


@asynccontextmanager
async def working(office: WorkerEnv, build: str | None = None) -> AsyncIterator[None]:
    """A worker process of this build, or of none; it is stopped in good order, as deployments do."""
    version = {"TEMPORAL_DEPLOYMENT_NAME": DEPLOYMENT, "TEMPORAL_WORKER_BUILD_ID": build} if build else {}
    async with worker_process({**office.settings, **version}, office.home) as worker:
        await worker.says(
            f"Build {build} of deployment {DEPLOYMENT}: it gets work" if build else "Working on"
        )
        yield
        worker.send(signal.SIGTERM)
        assert await worker.exit_code() == 0


async def make_current(office: WorkerEnv, *which: str) -> None:
    """Make a build the current one as soon as the server knows it; returns once every task goes to it."""
    connection = {name: value for name, value in office.settings.items() if name.startswith("TEMPORAL_")}

    async def accepted() -> bool:
        process = await asyncio.create_subprocess_exec(
            *(TEMPORAL, "worker", "deployment", "set-current-version", "--yes"),
            *("--deployment-name", DEPLOYMENT, *which),
            env={**connection, "HOME": str(office.home)},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        return await process.wait() == 0

    async def everywhere() -> bool:
        temporal = office.house.temporal
        described = await temporal.workflow_service.describe_worker_deployment(
            DescribeWorkerDeploymentRequest(namespace=temporal.namespace, deployment_name=DEPLOYMENT),
            retry=True,
        )
        state = described.worker_deployment_info.routing_config_update_state
        return state != RoutingConfigUpdateState.ROUTING_CONFIG_UPDATE_STATE_IN_PROGRESS

    await wait_for(f"{which} is the current version", accepted)
    await wait_for(f"{which} is the current version of every queue", everywhere)


async def doctor_says(office: WorkerEnv, what: str) -> None:
    """Wait until `worksub doctor` says this of the workers."""

    async def said() -> bool:
        findings = {finding.what: finding async for finding in temporal_findings(office.house.temporal)}
        return f"{findings['worker'].verdict}: {findings['worker'].text}" == what

    await wait_for(f"the doctor says {what}", said)


async def build_of(life: SubscriptionDriver) -> str:
    """The build that has done the life's latest workflow task; nothing for a worker without a version."""
    info = (await life.handle.describe()).raw_description.workflow_execution_info.versioning_info
    if info.HasField("deployment_version"):
        assert info.behavior == VersioningBehavior.VERSIONING_BEHAVIOR_AUTO_UPGRADE
    return info.deployment_version.build_id


async def paid(office: WorkerEnv) -> SubscriptionDriver:
    life = await office.house.requested()
    await life.asks("switch_to_paid", date=f"{await life.today()}", term="MONTHLY")
    return life


async def go_on(lives: list[SubscriptionDriver], *, months: int) -> list[str]:
    """So many months after their beginning each is renamed; the builds that did it."""

    async def one(life: SubscriptionDriver) -> str:
        started = (await life.status()).started_at
        assert started is not None
        await life.sleeps_until(started + timedelta(days=31 * months))
        await life.asks("rename_account", group=unique_name("goes-on"))
        return await build_of(life)

    return await gather_all(one(life) for life in lives)


async def test_lives_go_on_from_build_to_build_and_back(office: WorkerEnv) -> None:
    async with working(office):
        older = await paid(office)
        assert await build_of(older) == ""

    async with working(office, "0.1.0"):
        await make_current(office, "--build-id", "0.1.0")
        lives = [older, await paid(office)]
        assert await go_on(lives, months=1) == ["0.1.0", "0.1.0"]

        async with working(office, "0.2.0"):
            # Known to the server, and working for nobody yet.
            assert await go_on(lives, months=2) == ["0.1.0", "0.1.0"]
            await make_current(office, "--build-id", "0.2.0")
            assert await go_on(lives, months=3) == ["0.2.0", "0.2.0"]
            await make_current(office, "--build-id", "0.1.0")
            assert await go_on(lives, months=4) == ["0.1.0", "0.1.0"]

    async with working(office):
        await make_current(office, "--unversioned")
        assert await go_on(lives, months=14) == ["", ""]

    for life in lives:
        assert (await life.events()).count("ACCOUNT_RENAMED") == 5
        fees = [(line.first_day, line.end_day) for line in await life.ledger()]
        assert len(fees) >= 14  # one for each calendar month that has ended
        assert all(end == begin for (_, end), (begin, _) in pairwise(fees))
        assert await life.failed_tasks() == []


async def test_the_doctor_says_when_workers_get_no_work(office: WorkerEnv) -> None:
    async with working(office, "0.1.0"):
        await doctor_says(
            office,
            "MISSING: Only build 0.1.0 of deployment worksub is there, and Temporal gives the tasks to "
            "workers without a version: `temporal worker deployment set-current-version "
            "--deployment-name worksub --build-id 0.1.0`.",
        )
        await make_current(office, "--build-id", "0.1.0")
        await doctor_says(office, f"OK: One works on task queue {TASK_QUEUE}.")
    stopped = datetime.now(UTC)

    async def advice() -> str | None:
        return await idle_version(office.house.temporal, stopped)

    async with working(office):
        told = await wait_for("somebody is told what to do", advice)
        assert told == "Temporal gives the tasks to build 0.1.0 of deployment worksub: run a worker of it."
