"""Log and output of a worker: enough to find a subscription, and no personal data."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import TracerProvider
from support.cli_runner import Cli
from support.data_search import found_in_database
from support.forked_process import Program, start_forked
from support.markdown_pages import ROOT, page, tables
from support.observability import collecting, scraped
from support.polling import wait_for
from support.request_files import request_file
from support.service_env import ServiceEnv, unique_name
from support.subscription_driver import SubscriptionDriver, failed_tasks, has_closed
from support.worker_env import open_worker_env
from support.worker_process import WorkerProcess, worker_process
from temporalio.client import Client, WorkflowQueryFailedError, WorkflowUpdateFailedError

from adapters.observability.tracing_interceptor import CommandTracingInterceptor
from dev_stack.child_server import free_ports
from dev_stack.stack import EmbeddedStack
from subscription.ids import WORKFLOW_ID_PREFIX

COMPANY, ADMIN, PHONE, PASSWORD = "한빛서점 Hanbit", "minji.park", "02-555-0199", "Correct4Horse"
DOMAIN, GROUP, CALLER, NONSENSE = "hanbit.example", "hanbit-novels", "Kim Chulsoo of sales", "010-9876-5432"
PERSONAL = (COMPANY, ADMIN, PHONE, "8225550199", PASSWORD, "argon2", DOMAIN, GROUP, CALLER, NONSENSE)


async def test_whole_subscription_is_logged_without_personal_data(
    stack: EmbeddedStack, tmp_path: Path
) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with collecting() as collector:
        async with open_worker_env(stack, tmp_path) as worker_env:
            settings = {**worker_env.settings, **collector.settings}
            watched = {**settings, "WORKSUB_METRICS_ADDRESS": address, "WORKSUB_LOG_FORMAT": "json"}
            async with worker_process(watched, worker_env.home) as worker:
                await worker.says("Working on")
                subscription = await subscription_with_every_failure(
                    worker_env.service_env, Cli(settings, worker_env.home), worker
                )
                metrics = await scraped(f"http://{address}/metrics")
                worker.send(signal.SIGTERM)
                assert await worker.exit_code() == 0
    assert subscription.id in worker.output
    assert subscription.id.encode() in collector.received
    for output in (worker.output.encode(), metrics.text.encode(), collector.received):
        assert [name for name in PERSONAL if name.encode() in output] == []
    is_logged([json.loads(line) for line in worker.output.splitlines()], subscription.id)


def is_logged(log: Sequence[dict[str, Any]], subscription_id: str) -> None:
    assert {field for line in log for field in line} <= set(documented_fields())
    assert all(datetime.fromisoformat(line["time"]).utcoffset() is not None for line in log)
    ours = [line for line in log if line.get("subscription_id") == subscription_id]
    assert {
        line["message"]: line["logger"] for line in ours if not line["logger"].startswith("temporalio")
    } == {
        "event recorded": "activities.metrics",
        "attempt failed": "activities.metrics",
        "command refused": "workflows.interceptors.metrics",
    }
    assert [line["event"] for line in ours if line["message"] == "event recorded"] == [
        *("TRIAL_STARTED", "REFUSED", "REFUSED", "ACCOUNT_RENAMED", "CANCELED", "ERASED")
    ]
    assert [(line["command"], line["code"]) for line in ours if line["message"] == "command refused"] == [
        ("rename_account", "INVALID_ARGUMENT"),
        ("cancel", "CONFIRMATION_DIFFERS"),
        ("an unknown signal", "UNKNOWN_COMMAND"),
    ]
    failed = [line for line in ours if line["message"] == "attempt failed"]
    assert {line["activity"] for line in failed} == {"provision_subscription", "record_transition"}
    assert {line["error"] for line in failed} == {"RaiseError"}
    assert {line["where"][-1].partition(":")[0] for line in failed} == {
        "activities/provisioning.py",
        "adapters/postgres/account_name_repository.py",
        "adapters/postgres/subscription_repository.py",
    }
    words = "Failed handling activation on workflow with run ID "
    unknown, *_ = [line for line in log if line["message"].startswith(words)]
    assert (unknown["level"], unknown["error"]) == ("ERROR", "NotFoundError")
    assert UUID(unknown["message"].removeprefix(words))


async def subscription_with_every_failure(
    service_env: ServiceEnv, cli: Cli, worker: WorkerProcess
) -> SubscriptionDriver:
    """Return a subscription whose rows PostgreSQL refuses once each, with the values in the errors."""
    async with insert_refused(service_env, worker, "companies"):
        request = request_file(
            cli, account={"domain": DOMAIN}, admin_id=ADMIN, company_name=COMPANY, company_phone=PHONE
        )
        requesting = asyncio.create_task(cli.json("request", request, "--password-stdin", typed=PASSWORD))
    subscription = SubscriptionDriver(
        service_env.client, service_env.temporal, (await requesting)["subscription_id"], {}
    )
    assert {COMPANY, ADMIN, DOMAIN} <= {value for _, value in await found_in_database(service_env, PERSONAL)}

    today = f"{await subscription.today()}"
    with pytest.raises(WorkflowUpdateFailedError):
        await subscription.handle.execute_update(
            "rename_account", {"group": GROUP, "colour": NONSENSE, "by": CALLER}
        )
    config = service_env.temporal.config()
    config["interceptors"] = [CommandTracingInterceptor(TracerProvider().get_tracer("caller"))]
    handle = Client(**config).get_workflow_handle(subscription.workflow_id)
    await handle.signal("cancel", {"date": today, "confirmation": f"{ADMIN}@elsewhere", "by": CALLER})
    await handle.signal(NONSENSE, {"by": CALLER})
    async with insert_refused(service_env, worker, "account_names"):
        renaming = asyncio.create_task(subscription.send("rename_account", group=GROUP, by=CALLER))
    await renaming
    await send_invalid_calls(service_env, subscription)
    confirmation = await subscription.confirmation()
    async with insert_refused(service_env, worker, "event_private_data"):
        ending = asyncio.create_task(
            subscription.send("cancel", date=today, confirmation=confirmation, by=CALLER)
        )
    await ending
    await subscription.has_closed()
    return subscription


@asynccontextmanager
async def insert_refused(service_env: ServiceEnv, worker: WorkerProcess, table: str) -> AsyncIterator[None]:
    """Let the first insert in this block fail: the table refuses the row, and the error quotes it."""
    failed_before = worker.output.count("attempt failed")
    await service_env.owner.execute(
        f"""
        CREATE FUNCTION refuse_{table}() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'no row for %', NEW USING DETAIL = NEW; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_{table}();
        """
    )
    yield

    async def has_failed() -> bool:
        return worker.output.count("attempt failed") > failed_before

    await wait_for("an attempt has failed", has_failed)
    await service_env.owner.execute(f"DROP TRIGGER refuse ON {table}")


async def send_invalid_calls(service_env: ServiceEnv, subscription: SubscriptionDriver) -> None:
    """Start a malformed request manually, send an invalid query, and start an unknown workflow type."""
    by_hand = await service_env.temporal.start_workflow(
        "SubscriptionWorkflow",
        {"company_name": COMPANY, "company_phone": NONSENSE, "account": {"group": f"-{GROUP}-"}},
        id=WORKFLOW_ID_PREFIX + unique_name("by-hand"),
        task_queue=service_env.task_queue,
    )
    await has_closed(by_hand)
    with pytest.raises(WorkflowQueryFailedError):
        await subscription.handle.query("quote_cancellation", {"date": NONSENSE, CALLER: COMPANY})
    unknown = await service_env.temporal.start_workflow(
        "UnknownWorkflow",
        {"company_name": COMPANY},
        id=unique_name("unknown"),
        task_queue=service_env.task_queue,
    )

    async def has_failed() -> bool:
        return bool(failed_tasks([event async for event in unknown.fetch_history_events()]))

    await wait_for("its task has failed", has_failed)
    await unknown.terminate()


def documented_fields() -> list[str]:
    [table] = [each for each in tables(page("docs/monitoring.md")) if each.header[0] == "field"]
    return table.column("field")


async def test_only_harmless_library_log_records_are_kept() -> None:
    lines = [json.loads(line) for line in await logged("library_records", "json")]
    assert [line["message"] for line in lines[:3]] == [
        "… has 7 calls in 0b5b0f1e-8a14-4cf4-9cc0-3d4e1ad1c1f0",
        "It failed with Key",
        "Task exception was never retrieved",
    ]
    assert lines[4]["message"] == "It failed"
    assert lines[4]["error"] == "RuntimeError from ValueError"
    assert not any("acme" in json.dumps(line) for line in lines)
    assert not any("acme" in line for line in await logged("library_records", "text"))


async def test_log_line_is_one_line_for_any_id() -> None:
    [line] = await logged("own_record", "text")
    assert line.partition(" INFO ")[2] == (
        "workflows.lifecycle command refused "
        r'subscription_id="by\nhand" attempt=2 command="an unknown signal"'
    )
    [line] = await logged("own_record", "json")
    assert (
        json.loads(line).items()
        >= {
            "logger": "workflows.lifecycle",
            "level": "INFO",
            "subscription_id": "by\nhand",
            "attempt": 2,
        }.items()
    )


async def test_log_level_can_be_set_per_package() -> None:
    lines = [json.loads(line) for line in await logged("records_by_level", "json")]
    assert [(line["logger"], line["message"]) for line in lines] == [
        ("entrypoints.api.server", "Started with-a-value"),
        ("worker", "Started with-a-value"),
    ]


def test_loggers_have_the_names_of_their_modules() -> None:
    """`configure_logging` does not know a logger of another name, whose records count as a library's."""
    loggers = {
        line
        for package in ("adapters", "workflows", "activities", "starter", "dev_stack", "entrypoints")
        for path in (ROOT / package).rglob("*.py")
        for line in path.read_text().splitlines()
        if line.startswith("_log = ")
    }
    assert loggers == {"_log = logging.getLogger(__name__)"}


async def logged(sample: str, log_format: str) -> list[str]:
    """Return the lines that a process writes to its standard output; see `log_samples`."""
    module = "integration.observability.log_samples"
    process = await start_forked(Program(module, (sample, log_format), {"PYTHONUTF8": "1"}, ROOT))
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    return out.decode().splitlines()
