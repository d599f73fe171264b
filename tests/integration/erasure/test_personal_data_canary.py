"""Personal data is put into every part of the service, and after the erasure it is in none of them (R31)."""

import json
import signal
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli_runner import Cli
from support.data_search import found_in_workflow, is_deleted_from_workflow
from support.encryption_keys import new_keyring
from support.observability import Collector, collecting, scraped
from support.personal_data_canary import (
    Canary,
    bytes_of,
    dead_rows,
    die,
    dump_of,
    found_in_every_table,
    recovered,
    swept,
    temporal_data,
)
from support.polling import gather_all, wait_for
from support.reconcile_job import reconciled
from support.request_files import request_file
from support.service_env import open_stack, unique_name
from support.subscription_driver import SubscriptionDriver
from support.worker_env import WorkerEnv, open_worker_env
from support.worker_process import WorkerProcess, worker_process
from temporalio.client import WorkflowUpdateFailedError

from adapters.temporal.encryption_keys import Keyring
from dev_stack.child_server import free_ports
from dev_stack.postgres_server import PostgresServer
from dev_stack.stack import EmbeddedStack

PERSONAL_TABLES = {
    *("account_names", "administrators", "companies", "domain_tokens", "event_private_data"),
    *("notice_emails", "workspaces", "subscriptions"),
}


@dataclass
class CanaryEnv:
    """A worker environment with access to all outputs of the worker."""

    worker_env: WorkerEnv
    worker: WorkerProcess
    collector: Collector
    metrics_url: str
    cli: Cli

    async def outputs(self) -> bytes:
        """Return log, metrics and traces."""
        metrics = await scraped(self.metrics_url)
        return self.worker.output.encode() + metrics.text.encode() + self.collector.received


async def run_subscription(canary_env: CanaryEnv, canary: Canary) -> SubscriptionDriver:
    """Run a subscription that uses all personal data, in every kind of input of the service."""
    service_env = canary_env.worker_env.service_env
    request = request_file(
        canary_env.cli,
        account={"group": canary.group},
        admin_id=canary.admin,
        company_name=canary.company,
        company_phone=canary.phone,
        contact_email=canary.contact,
    )
    answer = await canary_env.cli.json("request", request, "--password-stdin", typed=canary.password)
    subscription = SubscriptionDriver(service_env.client, service_env.temporal, answer["subscription_id"], {})
    today = f"{await subscription.today()}"
    canary.password_hash = await service_env.owner.fetchval("SELECT password_hash FROM administrators")
    await subscription.send(
        "rename_account", domain=canary.domain, by=canary.caller, id=unique_name("rename")
    )
    [proof] = (await subscription.status()).proofs
    canary.token = proof.txt_value.partition("=")[2]
    with pytest.raises(WorkflowUpdateFailedError):
        await subscription.handle.execute_update("rename_account", {"group": "line", "by": canary.nonsense})
    await subscription.expect_refusal("check_domain", colour=canary.other_group, by=canary.caller)
    await subscription.handle.signal("cancel", {"date": today, "confirmation": f"{canary.admin}@elsewhere"})
    await subscription.handle.signal("make_coffee", {"by": canary.caller, "for": canary.nonsense})
    await subscription.send("switch_to_paid", date=today, term="ANNUAL", by=canary.caller)
    output_on = await subscription.today() + timedelta(days=3)
    await service_env.temporal.execute_workflow(
        "NoticesWorkflow",
        {"day": f"{output_on}"},
        id=unique_name("notices"),
        task_queue=service_env.task_queue,
    )
    # The nightly job finds the missing row, and restores it from the histories.
    await service_env.owner.execute("DELETE FROM companies")
    assert (await reconciled(service_env))["repaired"] >= 1
    return subscription


async def is_deleted(canary_env: CanaryEnv, subscription: SubscriptionDriver, canary: Canary) -> None:
    """Check that nothing is left outside PostgreSQL, which is checked separately."""
    temporal = canary_env.worker_env.service_env.temporal
    await is_deleted_from_workflow(temporal, subscription.workflow_id, canary.values)
    await subscription.has_only_its_last_run()

    async def temporal_tells_nothing() -> bool:
        return not canary.found_in(await temporal_data(temporal))

    await wait_for("no workflow of the namespace has it", temporal_tells_nothing)
    assert canary.found_in(await canary_env.outputs()) == set()


async def is_not_shown(cli: Cli, subscription: SubscriptionDriver, canary: Canary) -> None:
    """Check the commands, which read the database, so that encryption makes no difference to them."""
    for command in (
        ("findings", "--json"),
        ("notices", "list", "--json"),
        ("list", "--json"),
        ("status", subscription.id, "--json"),
        ("timeline", subscription.id, "--json"),
        ("ledger", subscription.id, "--json"),
        ("schedules", "list", "--json"),
    ):
        assert canary.found_in(json.dumps(await cli.json(*command[:-1]), ensure_ascii=False)) == set()


async def run_whole_subscription(
    stack: EmbeddedStack, home: Path, keyring: Keyring, canary: Canary
) -> WorkerEnv:
    metrics = f"127.0.0.1:{free_ports(1)[0]}"
    with collecting() as collector:
        async with open_worker_env(stack, home, keyring=keyring) as worker_env:
            settings = {**worker_env.settings, **collector.settings}
            watched = {**settings, "WORKSUB_METRICS_ADDRESS": metrics, "WORKSUB_LOG_FORMAT": "json"}
            async with worker_process(watched, home) as worker:
                await worker.says("Working on")
                canary_env = CanaryEnv(
                    worker_env, worker, collector, f"http://{metrics}/metrics", Cli(settings, home)
                )
                subscription = await run_subscription(canary_env, canary)
                await is_everywhere_it_should_be(canary_env, subscription, canary, keyring)
                await subscription.send("cancel", date=f"{await subscription.today()}", by=canary.caller)
                await subscription.has_closed()
                await is_deleted(canary_env, subscription, canary)
                if not keyring:
                    await is_not_shown(canary_env.cli, subscription, canary)
                worker.send(signal.SIGTERM)
                assert await worker.exit_code() == 0
                assert canary.found_in(worker.output) == set()
            return worker_env


async def is_everywhere_it_should_be(
    canary_env: CanaryEnv, subscription: SubscriptionDriver, canary: Canary, keyring: Keyring
) -> None:
    """Check the search itself; of encrypted data it finds only the names in search attributes."""
    service_env = canary_env.worker_env.service_env
    await swept(service_env.owner_url)
    found = await found_in_every_table(service_env.owner_url, [canary])
    assert {table for table, _ in found} == PERSONAL_TABLES
    stored_as_entered = {canary.phone, canary.password, canary.nonsense, canary.other_group}
    assert {value for _, value in found} == {*canary.values} - stored_as_entered
    in_histories = await found_in_workflow(service_env.temporal, subscription.workflow_id, canary.values)
    assert {value for _, value in in_histories} >= {canary.company, canary.phone, canary.admin, canary.token}
    as_it_is = canary.found_in(await temporal_data(service_env.temporal))
    if not keyring:
        assert as_it_is >= {canary.company, canary.phone, canary.admin, canary.caller}
        return
    assert as_it_is <= {*canary.names}
    assert canary.found_in(await temporal_data(service_env.temporal, with_names=False)) == set()
    on_disk = await canary_env.worker_env.stack.temporal.stored_bytes()
    assert canary.found_in(on_disk) <= {*canary.names}


async def test_r31_erasure_leaves_no_canary_in_the_service(tmp_path: Path) -> None:
    keyrings = [Keyring(), new_keyring()]
    canaries = [Canary() for _ in keyrings]
    homes = [tmp_path / f"home-{number}" for number in range(len(keyrings))]
    for home in homes:
        home.mkdir()
    async with open_stack(tmp_path / "stack") as stack:
        offices = await gather_all(
            run_whole_subscription(stack, home, keyring, canary)
            for home, keyring, canary in zip(homes, keyrings, canaries, strict=True)
        )
        urls = [worker_env.service_env.owner_url for worker_env in offices]
        for url in urls:
            assert await found_in_every_table(url, canaries) == []
            await swept(url)
            assert [canary.found_in(await dead_rows(url)) for canary in canaries] == [set(), set()]
            assert [canary.found_in(await dump_of(url)) for canary in canaries] == [set(), set()]

        async def temporals_file_has_nothing() -> bool:
            content = await stack.temporal.stored_bytes()
            return not any(canary.found_in(content) for canary in canaries)

        await wait_for("the bytes are gone from Temporal's database file", temporals_file_has_nothing)
        logs = list((tmp_path / "stack").rglob("*.log"))
        for canary in canaries:
            assert canary.found_in(await bytes_of(logs)) == set(), "the servers' own logs"
        await die(stack.postgres)
    directory = tmp_path / "stack" / "postgres"
    async with PostgresServer(directory) as restarted:
        assert "redo done" in await recovered(directory)
        for url in urls:
            again = restarted.dsn(url.rpartition("/")[2])
            assert await found_in_every_table(again, canaries) == []
            assert [canary.found_in(await dump_of(again)) for canary in canaries] == [set(), set()]
