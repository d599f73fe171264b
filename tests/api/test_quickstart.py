"""The quickstart of docs/api.md, run verbatim in a shell and in Python."""

import asyncio
import os
import re
import sys
from pathlib import Path

from support.api_client import ApiClient, ApiServer
from support.markdown_pages import blocks, page
from support.service_env import PASSWORD, unique_name

PAGE = page("docs/api.md")


def _environment(visitor: ApiClient) -> dict[str, str]:
    key = visitor.http.headers["authorization"].removeprefix("Bearer ")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    url = f"{visitor.http.base_url}/v1".replace("//v1", "/v1")
    return {**os.environ, "PATH": path, "WORKSUB": url, "KEY": key}


async def _run(visitor: ApiClient, directory: Path, *command: str, typed: str = "") -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=directory,
        env=_environment(visitor),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate(typed.encode())
    assert process.returncode == 0, out.decode()
    return out.decode()


async def test_in_python(api_server: ApiServer, tmp_path: Path) -> None:
    visitor = await api_server.visitor(unique_name("C"))
    [script] = [block.text for block in blocks(PAGE, "python") if "PasswordHasher" in block.text]
    script = script.replace("acme-3", unique_name("acme"))
    printed = await _run(visitor, tmp_path, sys.executable, "-c", script, typed=f"{PASSWORD}\n")
    subscription_id = printed.split()[-1]
    assert (await visitor.gets(f"/subscriptions/{subscription_id}"))["state"] == "TRIAL"


async def test_with_curl(api_server: ApiServer, tmp_path: Path) -> None:
    visitor = await api_server.visitor(unique_name("C"))
    first, script = [block.text for block in blocks(PAGE, "sh") if "KEY" in block.text][:2]
    [field] = re.findall(r"^field\(\) .*$", first, re.MULTILINE)
    text = f"set -eu\n{field}\n{script}\necho; echo $ID"
    printed = await _run(visitor, tmp_path, "bash", "-c", text.replace("acme-2", unique_name("acme")))
    assert "urn:worksub:problem" not in printed
    status = await visitor.gets(f"/subscriptions/{printed.split()[-1]}")
    assert (status["state"], status["reservation"]["kind"]) == ("TRIAL", "SWITCH_TO_PAID")
