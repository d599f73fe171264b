"""`worksub dev` and `worksub demo`: they run the whole service and leave no process behind."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from support.cli_runner import PATIENCE_SECONDS, ROOT, Cli, gone
from support.default_ports import DEFAULT_PORTS, default_ports_held
from support.forked_process import ForkedProcess, PipedProcess, program_directory
from support.observability import probed, scraped
from support.polling import wait_for
from support.postgres_data import copy_data
from support.request_files import PASSWORD, request_file

from dev_stack.child_server import port_is_free

EXAMPLE = ROOT / "tests" / "examples" / "02-annual-cancelled-early.yaml"
SIMULATE = "simulate", "--engine", "temporal"
POSTGRES, TEMPORAL, WORKER, API = "bin/postgres", "start-dev", "local_worker", "entrypoints.cli\0api"
"""Parts of the command lines of the processes of `worksub dev`."""

Dev: TypeAlias = asyncio.subprocess.Process | ForkedProcess


@pytest.fixture
def cli(unconfigured_cli: Cli, catalogue_file: Path, postgres_data: Path) -> Cli:
    """Return `worksub` without a configured service; it starts its own, on PostgreSQL data that exist."""
    copy_data(postgres_data, unconfigured_cli.directory / ".worksub")
    return unconfigured_cli.with_settings(WORKSUB_CATALOGUE=str(catalogue_file))


@pytest.fixture
async def default_ports() -> AsyncIterator[None]:
    async with default_ports_held():
        yield


async def is_ready_as_shown(dev: PipedProcess) -> None:
    """Wait until `worksub dev --json` is ready, and check the endpoints that it shows."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        ready: dict[str, Any] = json.loads(await dev.stdout.readline())
    assert ready["temporal_address"]
    for worker in ready["workers"]:
        await wait_for("the worker is ready", partial(is_ready, worker["health_url"]))
        assert (await scraped(worker["metrics_url"])).values("temporal_num_pollers")
    await wait_for("the API is ready", partial(is_ready, f"{ready['api_url']}/readyz"))


async def is_ready(health_url: str) -> bool:
    return await probed(health_url) == (200, {})


async def wait_for_output(process: asyncio.subprocess.Process | PipedProcess, text: str) -> None:
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while text not in (line := (await process.stderr.readline()).decode()):
            assert line, f"the process ended without printing {text!r}"


def is_running(pid: int) -> bool:
    """Return whether the process runs, or has ended and its parent has not read the exit code yet."""
    return Path(f"/proc/{pid}").exists()


def children(pid: int) -> dict[int, str]:
    """Return the child processes of a process with their command lines."""
    pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child): Path(f"/proc/{child}/cmdline").read_text() for child in pids}


def started_processes(dev: Dev, line: str = "") -> list[int]:
    """Return the child processes whose command line has this text."""
    return [pid for pid, command in children(dev.pid).items() if line in command]


async def whole_stack(dev: Dev) -> dict[int, str]:
    """Wait until `worksub dev` has started every process; return them."""

    async def all_started() -> dict[int, str]:
        started = children(dev.pid)
        commands = "".join(started.values())
        return started if all(name in commands for name in (POSTGRES, TEMPORAL, WORKER, API)) else {}

    return await wait_for("dev has started its stack", all_started)


@pytest.mark.usefixtures("default_ports")
async def test_dev_runs_the_service_and_keeps_its_data(cli: Cli) -> None:
    with occupied_default_ports():
        terminal = await cli.at_a_terminal("dev", "--workers", "2", "--apis", "2", forked=False)
        for port in DEFAULT_PORTS:
            await terminal.sees(f"Port {port} is in use by another program, so port ")
        await terminal.sees("Ready; stop with Ctrl-C.")
        await terminal.sees(". .worksub/env")
        await terminal.sees("worksub verify-domain")
        domain = {"domain": "hanbit.example"}
        answer = await cli.json(
            "request", request_file(cli, account=domain), "--password-stdin", typed=PASSWORD
        )
        subscription_id = answer["subscription_id"]
        await check_tools_read_same_addresses(cli, subscription_id)
        await check_partial_foreign_settings_are_refused(cli)
        await check_other_api_process_answers(terminal.process, cli)
        services = started_processes(terminal.process, WORKER) + started_processes(terminal.process, API)
        shown = len(terminal.shown)
        interrupting = asyncio.create_task(terminal.interrupt())
        await terminal.sees("Stopping the servers…")
        assert [pid for pid in services if is_running(pid)] == []
        await interrupting
        assert await terminal.ends() == 0
    assert re.sub(r"\^C", "", terminal.shown[shown:]).split("\r\n")[-4:] == [
        "Stopping the worker, then the servers…",
        "Stopping the servers…",
        "Stopped. The data is kept for the next start.",
        "",
    ]
    left = [name for name in ("env", "temporal.toml") if (cli.directory / ".worksub" / name).exists()]
    assert left == [], "another server may use these ports next"
    refused = await cli.with_settings(TEMPORAL_ADDRESS="127.0.0.1:7233").run("list", "--json")
    assert (refused.code, refused.error["code"]) == (3, "NOT_CONFIGURED")
    assert refused.error["message"].startswith("TEMPORAL_ADDRESS is set, but DATABASE_URL is not")

    dev = await cli.begin("dev", "--json")
    await is_ready_as_shown(dev)
    second = await cli.run("dev", "--json")
    assert second.code == 2
    assert f"as process {dev.pid}" in second.error["message"]
    listed = await cli.json("list")
    assert [subscription["subscription_id"] for subscription in listed["subscriptions"]] == [subscription_id]
    await check_domain_verification_by_records_file(cli, subscription_id)
    await check_worker_restarts(dev, cli)
    started = children(dev.pid)
    assert len(started) == 4
    dev.kill()
    await dev.wait()
    await asyncio.gather(*map(gone, started))


@contextmanager
def occupied_default_ports() -> Iterator[None]:
    """Listen on the default ports that no other program uses."""
    with ExitStack() as held:
        for port in DEFAULT_PORTS:
            if port_is_free(port):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
        yield


async def check_tools_read_same_addresses(cli: Cli, subscription_id: str) -> None:
    """Source `.worksub/env` in a shell with other Temporal settings and another directory."""
    script = f"""
        set -eu
        export TEMPORAL_ADDRESS=127.0.0.1:1 TEMPORAL_API_KEY=of-another-server
        . {cli.directory}/.worksub/env
        mkdir elsewhere; cd elsewhere
        temporal workflow describe --workflow-id subscription-{subscription_id} --output json
        worksub status {subscription_id} --json
        curl --silent --fail "$WORKSUB/../readyz"
        unset TEMPORAL_ADDRESS TEMPORAL_NAMESPACE
        temporal workflow count
    """
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", script),
        env={
            **cli.environment,
            "PATH": f"{program_directory()}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        cwd=cli.directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    assert "Total: " in out.decode()
    modes = [(cli.directory / ".worksub" / name).stat().st_mode & 0o777 for name in ("env", "temporal.toml")]
    assert modes == [0o600, 0o600]


async def check_partial_foreign_settings_are_refused(cli: Cli) -> None:
    elsewhere = {
        "TEMPORAL_ADDRESS": "127.0.0.1:1",
        "TEMPORAL_CONFIG_FILE": "/etc/temporal.toml",
        "TEMPORAL_PROFILE": "production",
        "DATABASE_URL": "postgresql://127.0.0.1:1/worksub",
    }
    for name, value in elsewhere.items():
        refused = await cli.with_settings(**{name: value}).run("list", "--json")
        assert (refused.code, refused.error["code"], refused.error["field"]) == (2, "MIXED_SERVICES", name)
    whole = {name: elsewhere[name] for name in ("TEMPORAL_ADDRESS", "DATABASE_URL")}
    away = await cli.with_settings(**whole).run("list", "--json")
    assert (away.code, away.error["code"]) == (3, "DATABASE_UNREACHABLE")


async def check_domain_verification_by_records_file(cli: Cli, subscription_id: str) -> None:
    [proof] = (await cli.json("status", subscription_id))["proofs"]
    records = cli.directory / ".worksub" / "dns.txt"
    records.write_text(f'this is no record\n{proof["txt_name"]} TXT "{proof["txt_value"]}"\n')
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await cli.json("status", subscription_id))["access"] != "FULL":
            await cli.run("verify-domain", subscription_id)


async def check_other_api_process_answers(dev: Dev, cli: Cli) -> None:
    """Kill one of two API processes; every connection then reaches the other one."""
    apis = started_processes(dev, API)
    assert (len(apis), len(started_processes(dev, WORKER))) == (2, 2)
    os.kill(apis[0], signal.SIGKILL)
    await gone(apis[0])
    environment = (cli.directory / ".worksub" / "env").read_text()
    [url] = re.findall(r"^export WORKSUB=(\S+)/v1$", environment, re.MULTILINE)
    for _ in range(2):
        assert await is_ready(f"{url}/readyz")


async def check_worker_restarts(dev: PipedProcess, cli: Cli) -> None:
    await wait_for_output(dev, "dns.txt, line 1: invalid record. Use NAME TXT VALUE")
    [worker] = started_processes(dev, WORKER)
    os.kill(worker, signal.SIGKILL)
    await wait_for_output(dev, "The worker failed with exit code -9")
    await wait_for_output(dev, "Starting the worker again…")
    await cli.json("request", request_file(cli), "--password-stdin", typed=PASSWORD)


@pytest.mark.usefixtures("default_ports")
async def test_dev_ends_its_stack_on_sigterm_or_failure(cli: Cli) -> None:
    """Both while the worker and the API start; Ctrl-C and SIGKILL come after that, in the test above."""
    dev = await cli.start("dev", "--json")
    started = await whole_stack(dev)
    dev.send_signal(signal.SIGTERM)
    await wait_for_output(dev, "Stopping the worker, then the servers…")
    await wait_for_output(dev, "Stopping the servers…")
    services = [pid for pid, line in started.items() if WORKER in line or API in line]
    assert [pid for pid in services if is_running(pid)] == []
    await wait_for_output(dev, "Stopped. The data is kept for the next start.")
    assert await dev.communicate() == (b"", b"")
    assert dev.returncode == 0
    await asyncio.gather(*map(gone, started))

    failing = await cli.begin("dev", "--json")
    started = await whole_stack(failing)
    [postgres] = [pid for pid, line in started.items() if POSTGRES in line]
    os.kill(postgres, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE_SECONDS):
        error = json.loads(await failing.stdout.readline())["error"]
    assert error["code"] == "EMBEDDED_ENDED"
    assert "PostgreSQL has ended with exit code -9. The end of " in error["message"]
    assert await failing.wait() == 3
    await asyncio.gather(*map(gone, started))


@pytest.mark.parametrize(
    ("arguments", "part", "number", "forked"),
    [
        (("demo",), WORKER, signal.SIGTERM, True),
        ((*SIMULATE, str(EXAMPLE)), TEMPORAL, signal.SIGINT, False),
    ],
    ids=["demo", "simulate"],
)
async def test_interrupted_stack_leaves_nothing(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...], part: str, number: signal.Signals, forked: bool
) -> None:
    """Both signals take the same way to the exit; the exit itself needs a new interpreter.

    The signal comes while the last part of the stack starts.
    """
    elsewhere = tmp_path / "tmp"
    elsewhere.mkdir()
    temporary = cli.with_settings(TMPDIR=str(elsewhere))
    start = temporary.begin if forked else temporary.start
    process = await start(*arguments, "--json")

    async def has_started() -> dict[int, str]:
        started = children(process.pid)
        return started if any(part in command for command in started.values()) else {}

    started = await wait_for("the part has started", has_started)
    process.send_signal(number)
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, err = await process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert err.endswith(b"Interrupted.\n")
    assert b"Traceback" not in err
    assert list(elsewhere.iterdir()) == []
    await asyncio.gather(*map(gone, started))


async def test_demo_runs_full_lifecycle_and_leaves_nothing(cli: Cli, tmp_path: Path) -> None:
    elsewhere = tmp_path / "tmp"
    elsewhere.mkdir()
    result = await cli.with_settings(TMPDIR=str(elsewhere)).run("demo", "--json")
    assert result.code == 0
    summary = result.json
    assert summary["seconds"] > 0
    assert {"plan", "members", "password"} <= {problem["field"] for problem in summary["refused"]}
    happened = [entry["event"] for entry in summary["timeline"]]
    for event in (
        *("TRIAL_STARTED", "DOMAIN_CONFIRMED", "SWITCH_RESERVED", "SWITCHED_TO_PAID", "SERVICE_FEES_POSTED"),
        *("UPGRADED", "CANCELLATION_RESERVED", "RESERVATION_WITHDRAWN", "CANCELED", "ERASED"),
    ):
        assert event in happened
    assert {line["kind"] for line in summary["ledger"]} == {
        *("SERVICE_FEE", "DISCOUNT_REPAYMENT", "EARLY_TERMINATION_FEE"),
    }
    *places, password = summary["remains"]
    assert all(place["before"] > 0 for place in places)
    assert all(place["after"] == 0 for place in places)
    assert (password["before"], password["after"]) == (0, 0)
    assert len(summary["certificates"]) == 2
    assert "Deleted: all data that identified the customer" in result.err
    assert list(elsewhere.iterdir()) == []
