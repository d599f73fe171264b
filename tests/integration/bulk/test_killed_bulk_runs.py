"""SIGKILL of the worker, the API and the process that starts a bulk run: each command is executed once."""

import asyncio
import json
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.api_process import api_process
from support.blocking_triggers import BlockingTriggers, holds_in
from support.cli_runner import Cli
from support.frequent_continue_as_new import hasty_server
from support.http_server import http_client
from support.lock_waits import wait_for_blocked_sessions
from support.polling import PATIENCE_SECONDS, gather_all, wait_for
from support.service_env import ServiceEnv, catalogue_text, open_service_env
from support.sizes import SIZES
from support.sticky_task_queues import forget_worker
from support.subscription_driver import SubscriptionDriver
from support.worker_process import worker_process
from temporalio.client import Client

from adapters.postgres.pool import create_pool
from adapters.temporal.client import TASK_QUEUE
from adapters.temporal.data_converter import data_converter
from dev_stack.stack import EmbeddedStack
from starter.api_keys import ApiKeyStore
from subscription.bulk import BULK_WORKFLOW_PREFIX, BulkOutcome, BulkState
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.issuer import Channel

ANNUAL = 60_000
"""The monthly fee in KRW of ten members on the plan basic with an annual contract: 10 × 6,000."""
RATE = 20
"""Commands a second, fewer than subscriptions: the workflow may continue as new each second."""
PATIENCE = PATIENCE_SECONDS * 5


@pytest.fixture
async def service_env(stack: EmbeddedStack, tmp_path: Path) -> AsyncIterator[ServiceEnv]:
    """Open an environment without a worker, on a server that suggests continue-as-new after few events."""
    async with hasty_server(tmp_path / "temporal") as address:
        temporal = await Client.connect(address, data_converter=data_converter())
        async with open_service_env(stack, temporal, works=False, task_queue=TASK_QUEUE) as opened:
            yield opened


class Follower:
    """An operator who follows a run over the API, also after the API was killed."""

    def __init__(self, http: httpx.AsyncClient, run_id: str) -> None:
        self._http = http
        self._path = f"/v1/bulk/{run_id}"
        self.done = 0

    async def run(self) -> dict[str, Any]:
        """Return the progress, which never goes back; nothing while the API is down."""
        try:
            answer = await self._http.get(self._path)
        except httpx.TransportError:
            return {}
        assert answer.status_code == 200, answer.text
        run: dict[str, Any] = answer.json()
        done = run["subscriptions"] - run["waiting"]
        assert done >= self.done
        self.done = done
        return run

    async def ended(self) -> dict[str, Any]:
        async def ended() -> dict[str, Any]:
            run = await self.run()
            return run if run and BulkState(run["state"]).has_ended else {}

        return await wait_for("the end of the run", ended, seconds=PATIENCE)

    async def results(self) -> list[dict[str, Any]]:
        answer = (await self._http.get(f"{self._path}/results")).json()
        found: list[dict[str, Any]] = answer["items"]
        while answer["next"]:
            answer = (await self._http.get(f"{self._path}/results", params={"cursor": answer["next"]})).json()
            found += answer["items"]
        return found


async def test_killed_bulk_run_sends_each_command_once(service_env: ServiceEnv, tmp_path: Path) -> None:
    (tmp_path / "catalogue.toml").write_text(catalogue_text())
    temporal_address = service_env.temporal.service_client.config.target_host
    settings = {
        "DATABASE_URL": service_env.worker_url,
        "TEMPORAL_ADDRESS": temporal_address,
        "WORKSUB_CATALOGUE": str(tmp_path / "catalogue.toml"),
    }
    cli = Cli({"DATABASE_URL": service_env.reader_url, "TEMPORAL_ADDRESS": temporal_address}, tmp_path)
    async with create_pool(service_env.reader_url, "worksub_admin", connections=1) as pool:
        token = (await ApiKeyStore(pool).create(None, "")).token
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with (
        holds_in(service_env) as holds,
        http_client(f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"}) as http,
    ):
        async with worker_process(settings, tmp_path) as worker, api_process(service_env, port) as api:
            trials = await requested(service_env, SIZES.bulk_subscriptions)
            # As a spreadsheet writes it: a byte order mark, CRLF, an empty line, and an ID twice.
            lines = ["\ufeff" + trials[0].id, *(trial.id for trial in trials), ""]
            (tmp_path / "ids.txt").write_text("\r\n".join(lines), encoding="utf-8", newline="")
            switch = ("bulk", "switch", "--date", f"{await trials[0].today()}", "--term", "ANNUAL")
            selected = (*switch, "--ids", "ids.txt", "--timeout", "300")
            dry_run = await cli.run(*selected, "--dry-run", "--json")
            *effects, summary = map(json.loads, dry_run.out.splitlines())
            assert summary["monthly_after"] == len(trials) * ANNUAL
            run_id = summary["preview"]
            *_, unrecorded, uncommitted = (effect["subscription_id"] for effect in effects)
            start = (*selected, "--preview", run_id, "--rate", f"{RATE}")

            await kill_driver_after_commit(service_env, holds, cli, start, uncommitted)
            follower = Follower(http, run_id)
            assert (await follower.run())["waiting"] == len(trials)
            held = f"lifecycle_events/INSERT/SWITCHED_TO_PAID/{uncommitted}"
            await holds.hold(held)
            async with locked_item(service_env, run_id, unrecorded):
                assert (await cli.json(*start))["run_id"] == run_id
                await wait_for("an outcome over the API", lambda: has_outcomes(follower, 1))
                api.kill()
                await api.wait()
                await wait_for(
                    "all other outcomes",
                    lambda: number_of_outcomes_is(service_env, len(trials) - 2),
                    seconds=PATIENCE,
                )
                await holds.has_stopped(held)
                await wait_for_blocked_sessions(service_env.owner, query="UPDATE bulk_items")
                worker.send(signal.SIGKILL)
                await worker.exit_code()
                cached = [WORKFLOW_ID_PREFIX + each for each in (unrecorded, uncommitted)]
                await forget_worker(service_env.temporal, [BULK_WORKFLOW_PREFIX + run_id, *cached])
        await holds.let_go()
        async with worker_process(settings, tmp_path), api_process(service_env, port):
            run = await follower.ended()
            results = await follower.results()
    assert (run["state"], run["accepted"], run["monthly_after"]) == (
        BulkState.COMPLETED,
        len(trials),
        len(trials) * ANNUAL,
    )
    assert [
        (result["subscription_id"], result["outcome"], result["monthly_after"]) for result in results
    ] == [(effect["subscription_id"], BulkOutcome.ACCEPTED, ANNUAL) for effect in effects]
    events = await service_env.owner.fetch(
        "SELECT subscription_id, channel FROM lifecycle_events WHERE event = 'SWITCHED_TO_PAID'"
    )
    assert Counter((row["subscription_id"], row["channel"]) for row in events) == {
        (result["subscription_id"], Channel.BULK): 1 for result in results
    }
    runs = service_env.temporal.list_workflows(f"WorkflowId = '{BULK_WORKFLOW_PREFIX}{run_id}'")
    assert len([run async for run in runs]) > 1


async def requested(service_env: ServiceEnv, number: int) -> list[SubscriptionDriver]:
    """Request subscriptions, a few at a time: each request has a time limit."""
    places = asyncio.Semaphore(20)

    async def request() -> SubscriptionDriver:
        async with places:
            return await service_env.requested()

    return await gather_all(request() for _ in range(number))


async def has_outcomes(follower: Follower, number: int) -> bool:
    await follower.run()
    return follower.done >= number


async def number_of_outcomes_is(service_env: ServiceEnv, number: int) -> bool:
    counted: int = await service_env.owner.fetchval("SELECT count(outcome) FROM bulk_items")
    return counted == number


async def kill_driver_after_commit(
    service_env: ServiceEnv, holds: BlockingTriggers, cli: Cli, start: Sequence[str], subscription_id: str
) -> None:
    """Kill the command between the commit of the list and the start of the workflow."""
    held = f"bulk_items/INSERT/{subscription_id}"
    await holds.hold(held)
    driver = await cli.begin(*start)
    await holds.has_stopped(held)
    async with service_env.owner.acquire() as connection, connection.transaction():
        # This lock waits for the commit, and the next query of the driver waits for this lock.
        locking = asyncio.create_task(connection.execute("LOCK TABLE bulk_items IN ACCESS EXCLUSIVE MODE"))
        await wait_for_blocked_sessions(service_env.owner, query="LOCK TABLE bulk_items")
        await holds.let_go(held)
        await locking
        await wait_for_blocked_sessions(service_env.owner, query="SELECT run.run_id, command")
        driver.kill()
        assert await driver.wait() == -signal.SIGKILL


@asynccontextmanager
async def locked_item(service_env: ServiceEnv, run_id: str, subscription_id: str) -> AsyncIterator[None]:
    """Lock the row in which the worker stores an outcome."""
    async with service_env.owner.acquire() as connection, connection.transaction():
        await connection.execute(
            "SELECT FROM bulk_items WHERE run_id = $1 AND subscription_id = $2 FOR UPDATE",
            run_id,
            subscription_id,
        )
        yield
