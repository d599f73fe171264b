"""The TypeScript example of the documentation, compiled in strict mode and run against the service (R9)."""

import asyncio
import json
import os
import subprocess
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from cli.conftest import Service
from support.markdown_pages import blocks, page
from support.request_files import PASSWORD, fresh, request_fields

from starter.requests import subscription_id_for

HASH = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1).hash(PASSWORD)


@pytest.fixture(scope="module")
def example(node_packages: Path) -> Path:
    """Return the compiled example."""
    [block] = blocks(page("docs/temporal-clients.md"), "typescript")
    build = node_packages / "build"
    build.mkdir(exist_ok=True)
    (build / "request.ts").write_text(block.text)
    subprocess.run(["node_modules/.bin/tsc", "--project", "."], cwd=node_packages, check=True)
    return build / "request.js"


async def run(
    example: Path, service: Service, directory: Path, request: dict[str, Any]
) -> tuple[int | None, Any]:
    (directory / "request.json").write_text(json.dumps(request))
    node = await asyncio.create_subprocess_exec(
        "node",
        str(example),
        cwd=directory,
        env={
            "PATH": os.environ["PATH"],
            "TEMPORAL_ADDRESS": service.settings["TEMPORAL_ADDRESS"],
            "TEMPORAL_NAMESPACE": service.settings["TEMPORAL_NAMESPACE"],
            "ADMIN_PASSWORD": PASSWORD,
        },
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        async with asyncio.timeout(60):
            printed, errors = await node.communicate()
    finally:
        if node.returncode is None:
            node.kill()
    assert errors == b""
    return node.returncode, json.loads(printed)


async def test_r9_example_starts_subscription_idempotently(
    example: Path, service: Service, tmp_path: Path
) -> None:
    request = request_fields(request_id=fresh("typescript"))
    code, answer = await run(example, service, tmp_path, request)
    assert code == 0
    assert answer["subscription_id"] == subscription_id_for(request["request_id"])
    assert answer["state"] == "TRIAL"
    assert await run(example, service, tmp_path, request) == (0, answer)
    assert (await service.client.request({**request, "password_hash": HASH})).model_dump(
        mode="json"
    ) == answer
    status = await service.client.status(answer["subscription_id"])
    assert (status.plan, status.members) == ("basic", 10)


async def test_r9_the_example_reports_a_refusal_field_by_field(
    example: Path, service: Service, tmp_path: Path
) -> None:
    code, refusal = await run(example, service, tmp_path, request_fields(members=0, plan="gold"))
    assert code == 1
    assert refusal["code"] == "REQUEST_REFUSED"
    assert {problem["field"] for problem in refusal["refused"]["problems"]} == {"members", "plan"}
