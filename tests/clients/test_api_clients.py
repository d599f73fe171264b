"""Clients generated from docs/openapi.json, compiled in strict mode and run against the API."""

import asyncio
import json
import os
import subprocess
import sys
import venv
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from cli.conftest import Service
from support.http_server import served
from support.markdown_pages import ROOT
from support.request_files import fresh

from adapters.postgres.pool import create_pool
from dev_stack.postgres_server import API_LOGIN, as_login
from entrypoints.api.app import create_app
from entrypoints.api.app_state import AppState as ApiService
from entrypoints.api.rate_limits import RateLimits
from starter.api_keys import ApiKeyStore
from starter.exports import SubscriptionExports
from subscription.business_calendar import KST

from .conftest import HERE

GENERATOR = "openapi-python-client==0.29.1"
DESCRIPTION = ROOT / "docs" / "openapi.json"
TOMORROW = (datetime.now(KST).date() + timedelta(days=1)).isoformat()
HASH = PasswordHasher().hash("Correct4Horse")


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
async def api(service: Service) -> AsyncIterator[tuple[str, ApiKeyStore]]:
    """Run the API, and return its URL and its API keys."""
    url = as_login(service.settings["DATABASE_URL"], API_LOGIN)
    async with (
        create_pool(url, "worksub_reader", connections=4) as reading,
        create_pool(url, "worksub_api", connections=2) as own,
        create_pool(url, "worksub_exporter", connections=1) as exporting,
        create_pool(service.settings["DATABASE_URL"], "worksub_admin", connections=1) as admin,
    ):
        answering = ApiService(
            temporal=service.temporal,
            reading=reading,
            client=service.client,
            own=own,
            keys=ApiKeyStore(own),
            rates=RateLimits(),
            exports=SubscriptionExports(exporting),
        )
        async with served(create_app(answering)) as at:
            yield at, ApiKeyStore(admin)


async def printed_by(command: list[str], api: tuple[str, ApiKeyStore], **environment: str) -> dict[str, Any]:
    """Run a program with the API key of a new customer, and return its output."""
    url, keys = api
    created = await keys.create(fresh("C"), "clients")
    process = await asyncio.create_subprocess_exec(
        *command,
        env={
            "PATH": os.environ["PATH"],
            "API_URL": url,
            "API_KEY": created.token,
            "GROUP": fresh("clients"),
            "PASSWORD_HASH": HASH,
            "DATE": TOMORROW,
            **environment,
        },
        stdout=PIPE,
        stderr=PIPE,
    )
    printed, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    found: dict[str, Any] = json.loads(printed)
    return found


def check(found: dict[str, Any]) -> None:
    # Ten members at the annual price of the plan basic, 6,000 KRW.
    assert (found["state"], found["monthly"], found["reserved"]) == ("TRIAL", 60_000, "basic")
    assert found["listed"] == [found["subscription_id"]]
    assert found["events"] == ["TRIAL_STARTED", "SWITCH_RESERVED"]
    assert found["code"] == "CONFIRMATION_DIFFERS"


def test_linters_find_nothing_in_the_description(node_packages: Path) -> None:
    binaries = node_packages / "node_modules" / ".bin"
    run(
        binaries / "spectral",
        *("lint", DESCRIPTION, "--ruleset", HERE / "spectral.yaml", "--fail-severity", "hint"),
        cwd=HERE,
    )
    report = run(binaries / "redocly", "lint", DESCRIPTION, "--config", HERE / "redocly.yaml", cwd=HERE)
    assert "warning" not in report.lower(), report


async def test_a_generated_typescript_client_is_strict_and_works(
    node_packages: Path, api: tuple[str, ApiKeyStore]
) -> None:
    build = node_packages / "build"
    build.mkdir(exist_ok=True)
    binaries = node_packages / "node_modules" / ".bin"
    run(binaries / "openapi-typescript", DESCRIPTION, "--output", build / "schema.d.ts", cwd=HERE)
    (build / "api_client.ts").write_text((HERE / "api_client.ts").read_text())
    run(binaries / "tsc", "--project", ".", cwd=node_packages)
    check(await printed_by(["node", str(build / "api_client.js")], api))


async def test_a_generated_python_client_is_strict_and_works(
    tmp_path: Path, api: tuple[str, ApiKeyStore]
) -> None:
    # The generator needs an older typer than this project, so it gets a separate virtual environment.
    home = HERE / "build" / "python"
    if not (home / "bin" / "openapi-python-client").exists():
        venv.create(home, with_pip=True, clear=True)
        run(home / "bin" / "pip", "install", "--quiet", GENERATOR, cwd=HERE)
    config = tmp_path / "config.yaml"
    config.write_text(
        "package_name_override: worksub_client\npost_hooks: []\n"
        # The generator reads a zip archive and JSON Lines only as bytes of an unspecified type.
        "content_type_overrides:\n"
        "  {application/zip: application/octet-stream, application/jsonl: application/octet-stream}\n"
    )
    generated = tmp_path / "client"
    report = run(
        home / "bin" / "openapi-python-client",
        *("generate", "--path", DESCRIPTION, "--config", config, "--output-path", generated),
        *("--meta", "none", "--fail-on-warning"),
        cwd=tmp_path,
    )
    assert "warning" not in report.lower(), report
    package = tmp_path / "worksub_client"
    if not package.exists():
        generated.rename(package)
    program = tmp_path / "program.py"
    program.write_text((HERE / "api_client.py.txt").read_text())
    strict = ("--strict", "--config-file", os.devnull, "--cache-dir", tmp_path / "mypy")
    run(sys.executable, "-m", "mypy", *strict, "program.py", "worksub_client", cwd=tmp_path)
    check(await printed_by([sys.executable, str(program)], api))
