"""Unavailable, silent or unconfigured servers: exit code 3, with a reason."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from google.protobuf.duration_pb2 import Duration
from support.cli_runner import PATIENCE_SECONDS, Cli
from support.request_files import PASSWORD, request_file
from support.tcp_proxy import TcpProxy
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client

from adapters.postgres.pool import create_pool
from dev_stack import temporal_server
from dev_stack.postgres_server import READER_LOGIN, SUPERUSER, as_login
from dev_stack.temporal_server import TemporalServer
from entrypoints.cli.clock_skew import difference
from entrypoints.cli.doctor import CheckStatus, check_temporal

from .conftest import Service

NOWHERE = "127.0.0.1:1"


@pytest.fixture(scope="module")
async def empty_namespace(service: Service) -> str:
    """Create a namespace without a worker and without the service's setup."""
    name = "nobody-works-here"
    await service.temporal.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=Duration(seconds=86400))
    )
    return name


@pytest.fixture
def cli_without_worker(cli: Cli, empty_namespace: str) -> Cli:
    return cli.with_settings(TEMPORAL_NAMESPACE=empty_namespace)


def dearer_catalogue(catalogue: Path, directory: Path) -> str:
    """Write the same catalogue version with a different price."""
    text = catalogue.read_text()
    assert "list = 3600" in text
    file = directory / "dearer.toml"
    file.write_text(text.replace("list = 3600", "list = 3700"))
    return str(file)


async def test_missing_settings_explain_how_to_begin(unconfigured_cli: Cli) -> None:
    result, in_json = await asyncio.gather(
        unconfigured_cli.run("list"), unconfigured_cli.run("doctor", "--json")
    )
    assert result.code == 3
    assert "`worksub dev`" in result.err
    assert (in_json.code, in_json.error["code"]) == (3, "NOT_CONFIGURED")


async def test_unavailable_server_is_named_with_its_address(service: Service, cli: Cli) -> None:
    subscription_id = await service.subscribed()
    no_temporal = cli.with_settings(TEMPORAL_ADDRESS=NOWHERE)
    no_database = cli.with_settings(DATABASE_URL=f"postgresql://{NOWHERE}/worksub")
    command, status, listed, odd = await asyncio.gather(
        no_temporal.run("withdraw", subscription_id),
        no_temporal.run("status", subscription_id),
        no_database.run("list", "--json"),
        cli.with_settings(DATABASE_URL="mysql://somewhere").run("list"),
    )
    assert command.code == 3
    assert f"Temporal at {NOWHERE} does not answer" in command.err
    assert "worksub dev" in command.err
    assert status.code == 0, "reads use PostgreSQL"
    assert (listed.code, listed.error["code"]) == (3, "DATABASE_UNREACHABLE")
    assert NOWHERE in listed.error["message"]
    assert odd.code == 3
    assert "DATABASE_URL is not a PostgreSQL URL" in odd.err


async def test_server_lost_during_command_prints_one_result(
    service: Service, cli_without_worker: Cli
) -> None:
    async with TcpProxy() as to_temporal:
        to_temporal.leads_to(service.stack.addresses.temporal_address)
        cli = cli_without_worker.with_settings(TEMPORAL_ADDRESS=to_temporal.address)
        process = await cli.begin(
            *("request", request_file(cli), "--password-stdin", "--timeout", "3", "--json")
        )
        assert process.stderr is not None
        process.stdin.write(PASSWORD.encode())
        process.stdin.close()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert b"Waiting for a worker" in await process.stderr.readline()
            to_temporal.closes()  # after which the SDK retries and logs warnings
            out, _ = await process.communicate()
    assert process.returncode == 3, out
    assert json.loads(out)["error"]["code"] in ("TIMEOUT", "TEMPORAL_UNREACHABLE")


async def test_waiting_for_a_worker_is_logged_and_bounded(cli_without_worker: Cli) -> None:
    file = request_file(cli_without_worker)
    result = await cli_without_worker.run(
        "request", file, "--password-stdin", "--timeout", "3", typed=PASSWORD
    )
    assert result.code == 3
    waiting, error, *_ = result.err.splitlines()
    assert waiting == "Waiting for a worker to answer (timeout 3 s)…"
    assert "No worker has answered within 3 s" in error
    assert "may still be executed" in error


async def test_doctor_passes_on_a_healthy_service(cli: Cli) -> None:
    result, in_json = await asyncio.gather(cli.run("doctor"), cli.json("doctor"))
    assert result.code == 0
    assert {finding["verdict"] for finding in in_json["findings"]} == {"OK"}
    assert [finding["what"] for finding in in_json["findings"]] == [
        *("Temporal", "namespace", "Temporal's clock", "search attributes", "schedules", "worker"),
        *(
            "test clocks",
            "PostgreSQL",
            "PostgreSQL's clock",
            "migrations",
            "logins",
            "login limits",
            "catalogue",
            "notices",
        ),
        "webhooks",
    ]
    for finding in in_json["findings"]:
        assert finding["text"] in result.out


async def test_setup_fixes_missing_items_reported_by_doctor(
    service: Service, cli_without_worker: Cli, catalogue_file: Path
) -> None:
    empty = await service.stack.postgres.ensure_database("empty")
    new = cli_without_worker.with_settings(DATABASE_URL=empty)
    doctor = await new.run("doctor", "--json")
    assert doctor.code == 1
    verdicts = {finding["what"]: finding["verdict"] for finding in doctor.json["findings"]}
    assert verdicts["migrations"] == verdicts["search attributes"] == verdicts["worker"] == "MISSING"
    assert "worksub setup" in doctor.out
    unprepared = await new.run("list", "--json")
    assert (unprepared.code, unprepared.error["code"]) == (3, "DATABASE_NOT_USABLE")

    done = await new.json("setup")
    assert done["migrations"]
    assert done["published"] == "2026-11"
    assert "SubscriptionState" in done["search_attributes"]
    asking = new.with_settings(DATABASE_URL=as_login(empty, READER_LOGIN))
    again = await new.run("setup")
    # Not concurrently: `doctor` would report the owner's login, with which `setup` is connected.
    doctor = await asking.run("doctor", "--json")
    assert again.out.strip() == "Nothing to do: everything was already set up."
    assert [f["what"] for f in doctor.json["findings"] if f["verdict"] != "OK"] == ["worker"]

    changed_file = dearer_catalogue(catalogue_file, new.directory)
    changed = await new.with_settings(WORKSUB_CATALOGUE=changed_file).run("setup")
    assert changed.code == 1
    assert "never changes" in changed.err


async def test_doctor_reports_clock_skew(service: Service, cli: Cli) -> None:
    behind = await service.stack.postgres.ensure_database("behind")
    await cli.with_settings(DATABASE_URL=behind).json("setup")
    database = await asyncpg.connect(behind)
    await database.execute(
        """
        CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
            $$ SELECT pg_catalog.clock_timestamp() - interval '90 seconds' $$;
        GRANT EXECUTE ON FUNCTION public.clock_timestamp() TO PUBLIC;
        ALTER DATABASE behind SET search_path = public, pg_catalog;
        """
    )
    await database.close()
    doctor = await cli.with_settings(DATABASE_URL=as_login(behind, READER_LOGIN)).run("doctor", "--json")
    assert doctor.code == 1
    [wrong] = [finding for finding in doctor.json["findings"] if finding["verdict"] != "OK"]
    assert (wrong["what"], wrong["verdict"]) == ("PostgreSQL's clock", "WRONG")
    assert re.match(r"(89|90)\.\d s behind this machine's clock: synchronize", wrong["text"])


async def test_doctor_reports_logins_with_excess_privileges(service: Service, cli: Cli) -> None:
    async def logins(url: str) -> tuple[int, str, str]:
        doctor = await cli.with_settings(DATABASE_URL=url).run("doctor", "--json")
        [found] = [finding for finding in doctor.json["findings"] if finding["what"] == "logins"]
        return doctor.code, found["verdict"], found["text"]

    addresses = service.stack.addresses
    worker, people = "worksub-worker signs in as worksub_service", "worksub-reader signs in as"
    assert await logins(addresses.reader_url) == (
        0,
        "OK",
        f"{people} worksub_operator; {worker}: no excess privileges.",
    )
    code, verdict, text = await logins(addresses.worker_url)
    assert (code, verdict) == (0, "NOTE")
    assert f"{people} worksub_service, a login of the worker" in text
    code, verdict, text = await logins(addresses.database_url)
    assert (code, verdict) == (0, "NOTE")
    assert f"{people} worksub_owner, an owner of the tables" in text
    code, verdict, text = await logins(as_login(addresses.database_url, SUPERUSER))
    assert (code, verdict) == (1, "WRONG")
    assert f"{people} postgres, a superuser" in text
    async with create_pool(addresses.database_url, "worksub_worker", connections=1):
        code, verdict, text = await logins(addresses.reader_url)
    assert (code, verdict) == (1, "WRONG")
    assert "worksub-worker signs in as worksub_owner, an owner of the tables" in text


async def test_doctor_reports_login_without_limits(service: Service, cli: Cli) -> None:
    async def limits() -> tuple[str, str]:
        doctor = await cli.with_settings(DATABASE_URL=service.stack.addresses.reader_url).run(
            "doctor", "--json"
        )
        assert doctor.code == 0
        [found] = [finding for finding in doctor.json["findings"] if finding["what"] == "login limits"]
        return found["verdict"], found["text"]

    assert await limits() == ("OK", "Each login has a connection limit and timeouts.")
    superuser = await asyncpg.connect(as_login(service.stack.addresses.database_url, SUPERUSER))
    try:
        await superuser.execute("CREATE ROLE unlimited LOGIN IN ROLE worksub_reader")
        await superuser.execute("CREATE ROLE waiting LOGIN CONNECTION LIMIT 3 IN ROLE worksub_api")
        await superuser.execute("ALTER ROLE waiting SET statement_timeout = 0")
        await superuser.execute("ALTER ROLE waiting SET idle_in_transaction_session_timeout = '1min'")
        await superuser.execute("GRANT EXECUTE ON FUNCTION lo_create(oid) TO waiting")
        verdict, text = await limits()
    finally:
        await superuser.execute("REVOKE EXECUTE ON FUNCTION lo_create(oid) FROM waiting")
        await superuser.execute("DROP ROLE unlimited, waiting")
        await superuser.close()
    assert verdict == "NOTE"
    assert (
        "unlimited: no CONNECTION LIMIT, no statement_timeout, no idle_in_transaction_session_timeout; "
        in text
    )
    assert "waiting: no statement_timeout, may create large objects: " in text


def test_clock_difference_excludes_the_round_trip() -> None:
    noon = datetime(2027, 3, 15, 12, tzinfo=UTC)
    second = timedelta(seconds=1)
    assert difference(noon + second, noon, noon + 2 * second) == timedelta(0)
    assert difference(noon - 3 * second, noon, noon + 2 * second) == -3 * second
    assert difference(noon + 5 * second, noon, noon + 2 * second) == 3 * second


async def test_doctor_names_unavailable_servers(unconfigured_cli: Cli) -> None:
    away = unconfigured_cli.with_settings(
        TEMPORAL_ADDRESS=NOWHERE, DATABASE_URL=f"postgresql://{NOWHERE}/worksub", WORKSUB_SMTP_PASSWD="x"
    )
    result = await away.run("doctor", "--json")
    assert result.code == 3
    settings, *servers = result.json["findings"]
    assert [server["verdict"] for server in servers] == ["UNREACHABLE", "UNREACHABLE"]
    assert settings["text"] == "WORKSUB_SMTP_PASSWD is not a setting. Did you mean WORKSUB_SMTP_PASSWORD?"


async def test_worker_reports_all_invalid_settings_at_once(unconfigured_cli: Cli) -> None:
    wrong = unconfigured_cli.with_settings(WORKSUB_LOG_FORMAT="xml", TEMPORAL_TLS="maybe")
    result = await wrong.run("worker")
    assert result.code == 2
    assert len(result.err.splitlines()) == 3
    for name in ("DATABASE_URL", "WORKSUB_LOG_FORMAT", "TEMPORAL_TLS"):
        assert f"{name} is" in result.err


async def test_process_warns_of_unknown_settings(unconfigured_cli: Cli) -> None:
    command = unconfigured_cli.with_settings(
        DATABASE_URL="postgresql://localhost/worksub", WORKSUB_HEALTH_ADRESS="x", TEMPORAL_PROFILE="none"
    )
    result = await command.run("worker")
    assert "Did you mean WORKSUB_HEALTH_ADDRESS?" in result.out


async def test_worker_without_settings_exits_immediately(unconfigured_cli: Cli) -> None:
    located = unconfigured_cli.with_settings(DATABASE_URL="postgresql://localhost/worksub")
    result, wrong, unsendable = await asyncio.gather(
        unconfigured_cli.run("worker"),
        located.with_settings(WORKSUB_CATALOGUE="missing.toml").run("worker", "--json"),
        located.with_settings(WORKSUB_SMTP_URL="mail.acme.example").run("worker", "--json"),
    )
    assert result.code == wrong.code == unsendable.code == 2
    assert "DATABASE_URL is not set" in result.err
    assert "missing.toml cannot be read" in wrong.error["message"]
    assert unsendable.error["code"] == "SETTINGS"
    assert "WORKSUB_SMTP_URL is not the URL of a mail server" in unsendable.error["message"]


async def test_other_server_without_test_clocks_is_reported(
    service: Service, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server first has no workflow of the subscription, which must not be reported as ended."""
    subscription_id = await service.subscribed()
    monkeypatch.setattr(temporal_server, "DYNAMIC_CONFIG", ())
    async with TemporalServer(tmp_path / "temporal", search_attributes={}) as server:
        client = await Client.connect(server.address)
        findings = {finding.what: finding async for finding in check_temporal(client)}
        assert findings["test clocks"].verdict is CheckStatus.NOTE
        elsewhere = cli.with_settings(TEMPORAL_ADDRESS=server.address, TEMPORAL_NAMESPACE="default")
        missing = await elsewhere.run("rename", subscription_id, "--group", "elsewhere", "--json")
        assert (missing.code, missing.error["code"]) == (3, "WORKFLOW_UNAVAILABLE")
        await client.start_workflow(
            "SubscriptionWorkflow", id=f"subscription-{subscription_id}", task_queue="nobody-listens"
        )
        result = await elsewhere.run("clock", "advance", subscription_id, "1", "--json")
        assert (result.code, result.error["code"]) == (1, "NO_TEST_CLOCK")
        assert "frontend.WorkflowTimeSkippingEnabled=true" in result.error["message"]
