"""The Go examples of the documentation: gofmt check, and a compiled run of the API example."""

import asyncio
import os
import subprocess
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from support.markdown_pages import blocks, page
from support.request_files import fresh

from starter.api_keys import ApiKeyStore

from .conftest import HERE
from .test_api_clients import HASH, api

__all__ = ["api"]


def go(*command: str, cwd: Path) -> str:
    # Module mode is off: the example uses only the standard library, so nothing is downloaded.
    environment = {**os.environ, "GO111MODULE": "off", "GOCACHE": str(HERE / "build" / "go")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the compiled example of docs/api.md."""
    directory = tmp_path_factory.mktemp("go")
    [block] = blocks(page("docs/api.md"), "go")
    (directory / "main.go").write_text(block.text)
    go("go", "vet", "main.go", cwd=directory)
    go("go", "build", "-o", "program", "main.go", cwd=directory)
    return directory / "program"


async def ended(program: Path, url: str, key: str) -> tuple[int | None, str, str]:
    environment = {"WORKSUB": f"{url}/v1", "KEY": key, "PASSWORD_HASH": HASH}
    process = await asyncio.create_subprocess_exec(program, env=environment, stdout=PIPE, stderr=PIPE)
    printed, errors = await process.communicate()
    return process.returncode, printed.decode(), errors.decode()


async def test_the_example_requests_a_subscription_once(program: Path, api: tuple[str, ApiKeyStore]) -> None:
    url, keys = api
    key = (await keys.create(fresh("C"), "go")).token
    code, printed, errors = await ended(program, url, key)
    assert (code, errors) == (0, "")
    assert printed.strip()
    assert await ended(program, url, key) == (0, printed, "")


async def test_the_example_prints_why_it_is_refused(program: Path, api: tuple[str, ApiKeyStore]) -> None:
    code, printed, errors = await ended(program, api[0], "no-key")
    assert (code, printed) == (1, "")
    assert errors.startswith("UNAUTHENTICATED: ")


@pytest.mark.parametrize("name", ["docs/api.md", "docs/temporal-clients.md"])
def test_the_examples_are_in_the_format_of_go(name: str, tmp_path: Path) -> None:
    [block] = blocks(page(name), "go")
    (tmp_path / "example.go").write_text(block.text)
    assert go("gofmt", "-d", "example.go", cwd=tmp_path) == ""
