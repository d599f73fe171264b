"""SIGKILL of the worker, and of the process that starts a bulk run: each command is executed once."""

import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.blocking_triggers import holds_in
from support.frequent_continue_as_new import hasty_server
from support.polling import gather_all, wait_for
from support.service_env import ServiceEnv, catalogue_text, open_service_env
from support.sizes import SIZES
from support.worker_process import worker_process
from temporalio.client import Client

from adapters.postgres.bulk_runs import NewBulkRun, insert_run
from adapters.temporal.client import TASK_QUEUE
from adapters.temporal.data_converter import data_converter
from dev_stack.stack import EmbeddedStack
from starter.selection import Selection
from subscription.bulk import BULK_WORKFLOW_PREFIX, BulkOutcome, BulkState, argument_of, parse_bulk_command
from subscription.commands import Command
from subscription.issuer import Channel


@pytest.fixture
async def service_env(stack: EmbeddedStack, tmp_path: Path) -> AsyncIterator[ServiceEnv]:
    """Open an environment without a worker, on a server that suggests continue-as-new after few events."""
    async with hasty_server(tmp_path / "temporal") as address:
        temporal = await Client.connect(address, data_converter=data_converter())
        async with open_service_env(stack, temporal, works=False, task_queue=TASK_QUEUE) as opened:
            yield opened


async def test_killed_bulk_run_sends_each_command_once(service_env: ServiceEnv, tmp_path: Path) -> None:
    (tmp_path / "catalogue.toml").write_text(catalogue_text())
    settings = {
        "DATABASE_URL": service_env.worker_url,
        "TEMPORAL_ADDRESS": service_env.temporal.service_client.config.target_host,
        "WORKSUB_CATALOGUE": str(tmp_path / "catalogue.toml"),
    }
    bulk = service_env.client.bulk_runs(service_env.owner)

    async def has_outcomes(number: int) -> bool:
        return len(await bulk.results(run_id, outcome=BulkOutcome.ACCEPTED, limit=number)) == number

    async with holds_in(service_env) as holds:
        async with worker_process(settings, tmp_path) as worker:
            trials = await gather_all(service_env.requested() for _ in range(SIZES.bulk_subscriptions))
            switch = parse_bulk_command(
                "switch_to_paid", {"date": f"{await trials[0].today()}", "term": "ANNUAL"}
            )
            assert isinstance(switch, Command)
            selection = Selection(ids=tuple(trial.id for trial in trials))
            dry_run = await bulk.preview(switch, selection)
            run_id = preview = dry_run.summary.preview
            # The driver is killed between the commit of the list and the start of the workflow.
            stored = NewBulkRun(
                run_id=run_id,
                preview=preview,
                command=switch.name,
                argument=argument_of(switch),
                revision=dry_run.revision,
                rate=10,
                issued_by=None,
            )
            assert await insert_run(service_env.owner, stored, dry_run.effects)
            uncommitted, unrecorded = dry_run.effects[-1].subscription_id, len(dry_run.effects) - 1
            held = f"lifecycle_events/INSERT/SWITCHED_TO_PAID/{uncommitted}"
            await holds.hold(held)
            async with locked_item(service_env, run_id, unrecorded):
                await bulk.start(switch, selection, preview=preview)
                await holds.has_stopped(held)
                await wait_for("all other outcomes", lambda: has_outcomes(len(trials) - 2))
                worker.send(signal.SIGKILL)
                await worker.exit_code()
        await holds.let_go()
        async with worker_process(settings, tmp_path):
            await wait_for("the end of the run", lambda: has_outcomes(len(trials)))

            async def is_completed() -> bool:
                return (await bulk.run(run_id)).state is BulkState.COMPLETED

            await wait_for("the run is completed", is_completed)
    events = await service_env.owner.fetch(
        "SELECT subscription_id, channel FROM lifecycle_events WHERE event = 'SWITCHED_TO_PAID'"
    )
    assert Counter((row["subscription_id"], row["channel"]) for row in events) == {
        (trial.id, Channel.BULK): 1 for trial in trials
    }
    runs = service_env.temporal.list_workflows(f"WorkflowId = '{BULK_WORKFLOW_PREFIX}{run_id}'")
    assert len([run async for run in runs]) > 1


@asynccontextmanager
async def locked_item(service_env: ServiceEnv, run_id: str, position: int) -> AsyncIterator[None]:
    """Lock the row in which the worker stores an outcome."""
    async with service_env.owner.acquire() as connection, connection.transaction():
        await connection.execute(
            "SELECT FROM bulk_items WHERE run_id = $1 AND position = $2 FOR UPDATE", run_id, position
        )
        yield
