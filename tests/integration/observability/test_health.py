"""The health endpoint of a worker: its responses to orchestrators and operators, and their times."""

import asyncio
import json
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from support.observability import fetched, probed
from support.polling import wait_for
from support.tcp_proxy import TcpProxy
from support.worker_env import WorkerEnv, open_worker_env
from support.worker_process import WorkerProcess, worker_process

from adapters.observability.health_server import WorkerHealth, serve_health
from dev_stack.child_server import free_ports
from dev_stack.stack import EmbeddedStack


@pytest.fixture(scope="module")
async def worker_env(
    stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[WorkerEnv]:
    async with open_worker_env(stack, tmp_path_factory.mktemp("health")) as opened:
        yield opened


@asynccontextmanager
async def probed_worker(worker_env: WorkerEnv, **settings: str) -> AsyncIterator[tuple[WorkerProcess, str]]:
    """Run a worker; yield it with the URL of its health endpoint."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    watched = {**worker_env.settings, "WORKSUB_HEALTH_ADDRESS": address, **settings}
    async with worker_process(watched, worker_env.home) as worker:
        await worker.says(f"Health at http://{address}/readyz.")
        yield worker, f"http://{address}"


async def test_worker_is_alive_at_start_and_ready_when_connected(
    worker_env: WorkerEnv, stack: EmbeddedStack
) -> None:
    async with TcpProxy() as to_temporal, TcpProxy() as to_postgresql:
        url = to_postgresql.leads_to_database(worker_env.settings["DATABASE_URL"])
        to_postgresql.leads_to("")
        through = {"DATABASE_URL": url, "TEMPORAL_ADDRESS": to_temporal.address}
        async with probed_worker(worker_env, **through) as (worker, health):
            waiting, idle = "connecting", "not polling for tasks"
            assert await probed(f"{health}/livez") == (200, {})
            assert await probed(f"{health}/readyz") == (
                503,
                {"temporal": waiting, "postgresql": waiting, "worker": idle},
            )
            to_temporal.leads_to(stack.addresses.temporal_address)
            await worker.says("Waiting for PostgreSQL")
            assert await probed(f"{health}/readyz") == (503, {"postgresql": waiting, "worker": idle})
            to_postgresql.leads_to_database(worker_env.settings["DATABASE_URL"])
            await worker.says("Working on")
            await is_ready(health)

            to_postgresql.closes()
            status, problems = await probed(f"{health}/readyz")
            assert (status, list(problems)) == (503, ["postgresql"])
            assert problems["postgresql"].startswith("no response (Connection")
            to_postgresql.leads_to_database(worker_env.settings["DATABASE_URL"])
            await is_ready(health)

            to_temporal.closes()
            status, problems = await probed(f"{health}/readyz")
            assert (status, list(problems)) == (503, ["temporal"])
            assert await probed(f"{health}/livez") == (200, {})
            to_temporal.leads_to(stack.addresses.temporal_address)
            await is_ready(health)


async def is_ready(health: str) -> None:
    async def answers() -> bool:
        return await probed(f"{health}/readyz") == (200, {})

    await wait_for("the worker is ready", answers)


async def test_worker_that_shuts_down_is_not_ready(worker_env: WorkerEnv) -> None:
    async with probed_worker(worker_env) as (worker, health):
        await worker.says("Working on")
        async with worker_env.service_env.owner.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE account_names IN EXCLUSIVE MODE")
            requesting = asyncio.create_task(worker_env.service_env.requested())
            await wait_for("an activity waits for the lock", partial(activity_waits, worker_env))
            worker.send(signal.SIGTERM)
            await worker.says("Stopping")
            status, problems = await probed(f"{health}/readyz")
            assert (status, problems["worker"]) == (503, "shutting down")
        assert await worker.exit_code() == 0
    async with worker_env.service_env.worker():
        await requesting


async def activity_waits(worker_env: WorkerEnv) -> bool:
    waiting = """
        SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database
         WHERE datname = current_database() AND NOT granted
    """
    return bool(await worker_env.service_env.owner.fetchval(waiting))


async def test_unknown_health_path_lists_known_paths() -> None:
    port = free_ports(1)[0]
    async with serve_health("127.0.0.1", port, WorkerHealth()):
        status, body = await fetched(f"http://127.0.0.1:{port}/metrics")
        assert (status, json.loads(body)) == (404, {"paths": ["/livez", "/readyz"]})


async def test_blocked_event_loop_fails_liveness() -> None:
    port = free_ports(1)[0]
    serving, stays_responsive = threading.Event(), threading.Event()

    async def hang() -> None:
        async with serve_health("127.0.0.1", port, WorkerHealth()):
            serving.set()
            stays_responsive.wait()

    hanging = threading.Thread(target=lambda: asyncio.run(hang()))
    hanging.start()
    await asyncio.to_thread(serving.wait)
    try:
        assert await probed(f"http://127.0.0.1:{port}/livez") == (503, {"worker": "event loop blocked"})
    finally:
        stays_responsive.set()
        await asyncio.to_thread(hanging.join)
