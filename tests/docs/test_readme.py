"""Every code block of README.md, run verbatim and in order in a copy of the repository.

`worksub` runs in processes of the fork server, except for the servers of `make dev`.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from support.default_ports import default_ports_held
from support.forked_process import program_directory
from support.markdown_pages import ROOT, blocks, page, tables
from support.postgres_data import copy_data

DEMO, TESTS = "make demo\n", "make test\n"
"""The blocks that are not run here: tests/cli/test_dev.py runs the demo, and `make test` runs this test."""
SHOWN = blocks(page("README.md"))
BLOCKS = [block for block in SHOWN if block.text not in (DEMO, TESTS)]
SECONDS = 240.0
SERVERS, ACTIVATION = "make dev\n", ". .venv/bin/activate\n. .worksub/env\n"


def test_every_block_is_shell_without_placeholders() -> None:
    assert {block.language for block in BLOCKS} == {"sh"}
    text = "".join(block.text for block in BLOCKS)
    assert re.search(r"(?<!\$)\b(ID|KEY|HASH|DAY)\b(?!=)", text) is None
    assert re.search(r"20\d\d-\d\d-\d\d", text) is None, "a fixed date will be in the past one day"
    assert "…" not in text
    assert "<your" not in text


def test_readme_starts_with_make_demo_and_make_test() -> None:
    assert [block.text for block in SHOWN[:2]] == [DEMO, TESTS]


def test_readme_has_images_and_path_for_each_user_kind() -> None:
    text = page("README.md")
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert len(pictures) >= 3
    assert all((ROOT / picture).is_file() for picture in pictures)
    [paths] = [table for table in tables(text) if table.header[0] == "you are"]
    assert len(paths.rows) >= 5


@pytest.fixture
def clone(tmp_path: Path, postgres_data: Path) -> Path:
    """Copy the tracked and untracked files and PostgreSQL data; link an environment with all dependencies."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    copy = tmp_path / "worksub"
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    copy_data(postgres_data, copy / ".worksub")
    installed, environment = Path(sys.prefix), copy / ".venv"
    environment.mkdir()
    for entry in installed.iterdir():
        if entry.name not in ("embedded", "dev"):
            (environment / entry.name).symlink_to(entry)
    # The stamp file that marks a complete installation for `make`; newer than its prerequisites.
    for stamp in ("embedded", "dev"):
        (environment / stamp).touch()
    return copy


def environment() -> dict[str, str]:
    # Independent of the make process that runs the tests, and without this machine's settings.
    ours = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith(("TEMPORAL_", "WORKSUB", "DATABASE_URL", "PYTEST"))
    }


@asynccontextmanager
async def servers(clone: Path) -> AsyncIterator[None]:
    """Run `make dev` in a first terminal until Ctrl-C."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", SERVERS),
        cwd=clone,
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    shown = ""
    try:
        async with asyncio.timeout(SECONDS):
            while "worksub verify-domain" not in shown:
                line = (await process.stdout.readline()).decode()
                assert line, shown
                shown += line
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        async with asyncio.timeout(SECONDS):
            await process.communicate()


class SecondTerminal:
    """One shell for all blocks, which keeps the variables that a block sets."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def opened(cls, clone: Path) -> AsyncIterator["SecondTerminal"]:
        process = await asyncio.create_subprocess_exec(
            *("bash", "--noprofile", "--norc"),
            cwd=clone,
            env=environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            yield cls(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            async with asyncio.timeout(SECONDS):
                await process.wait()

    async def run_block(self, text: str) -> list[tuple[str, str]]:
        """Run each command of a block, which must succeed, and return it with its output."""
        return [(command, await self._run_command(command)) for command in commands(text)]

    async def _run_command(self, command: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # Sent through the shell's standard input, so that a here-document belongs to its command.
        self._process.stdin.write(f"{command}\nprintf '\\n%s %s\\n' END-OF-COMMAND $?\n".encode())
        printed = ""
        async with asyncio.timeout(SECONDS):
            while not (ended := re.search(r"\nEND-OF-COMMAND (\d+)\n$", printed)):
                line = (await self._process.stdout.readline()).decode()
                assert line, f"the shell has ended at {command!r}: {printed}"
                printed += line
        assert ended[1] == "0", f"{command}\n{printed}"
        return printed[: ended.start()]


def commands(text: str) -> Iterator[str]:
    """Split a block into commands, joining continuation lines and here-documents."""
    command = ""
    for line in text.splitlines():
        command += line + "\n"
        unfinished = subprocess.run(["bash", "-n"], input=command, capture_output=True, text=True)
        if not line.endswith("\\") and unfinished.returncode == 0 and not unfinished.stderr:
            yield command
            command = ""
    assert command == "", f"a block ends within a command: {command}"


async def test_every_block_runs_in_order(clone: Path) -> None:
    texts = [block.text for block in BLOCKS]
    position = texts.index(SERVERS)
    assert (texts.count(SERVERS), texts[position + 1]) == (1, ACTIVATION)
    async with SecondTerminal.opened(clone) as terminal:
        [(_, demo)] = await terminal.run_block("make --dry-run demo\n")
        assert demo.strip() == ".venv/bin/worksub demo"
        for text in texts[:position]:
            await terminal.run_block(text)
        async with default_ports_held(), servers(clone):
            await terminal.run_block(ACTIVATION)
            await terminal.run_block(f'PATH="{program_directory()}:$PATH"\n')
            printed = dict(
                [pair for text in texts[position + 2 :] for pair in await terminal.run_block(text)]
            )
    assert '"subscription_id"' not in printed["worksub timeline hanbit-books.example\n"]
    assert "TRIAL_STARTED" in printed["worksub timeline hanbit-books.example\n"]
    quoted = next(text for command, text in printed.items() if "/quote?" in command)
    assert '"total":' in quoted, quoted
    everything = "".join(printed.values())
    for refusal in ("ALREADY_PAID", '"error"', "urn:worksub:problem", "Traceback"):
        assert refusal not in everything
    assert "SERVICE_FEE" in printed["worksub ledger acme\n"]
    by_rules, on_temporal = [text for command, text in printed.items() if "worksub simulate" in command]
    assert by_rules.strip() in on_temporal
    assert "1 of 1 simulated: " in on_temporal
    assert printed["worksub list --customer C-1000482 --json | field total\n"].strip() == "1"
