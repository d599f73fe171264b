"""`worksub` in unusual environments: no home, no terminal, closed output, other encodings, odd files."""

import asyncio
import json
import os
from pathlib import Path

import pytest
from support.cli_runner import PATIENCE_SECONDS, ROOT, Cli, command
from support.forked_process import program_directory

SCENARIO = str(ROOT / "tests" / "examples" / "01-trial-lapses.yaml")
REQUEST = str(ROOT / "examples" / "request.yaml")


async def run_in_shell(cli: Cli, line: str, **environment: str) -> tuple[int, str, str]:
    """Run a shell line and return its exit code and output; `$W` is the command in a new interpreter.

    `$FORKED` is the command in a process of the fork server, for lines without closed streams and encodings.
    """
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        f"set -o pipefail\n{line}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "W": " ".join(command(())),
            "FORKED": str(program_directory() / "worksub"),
            "SCENARIO": SCENARIO,
            **environment,
        },
        cwd=cli.directory,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, err = await process.communicate()
    assert process.returncode is not None
    assert b"Traceback" not in err
    assert b"fault of worksub" not in err
    return process.returncode, out.decode(), err.decode(errors="replace")


HASH = "echo Correct4Horse | $W hash-password --password-stdin --json"
SURROUNDINGS: dict[str, tuple[str, dict[str, str], int]] = {
    "no home, no language, one column of ASCII, and a pipe": (
        "$W simulate <(cat $SCENARIO)",
        {"PYTHONIOENCODING": "ascii", "COLUMNS": "1"},
        0,
    ),
    "output that is closed": (f"{HASH} >&-", {}, 0),
    "input that is closed": (f"$W request {REQUEST} <&-", {}, 2),
    "a confirmation, and input that is closed": ("$W cancel ID --date today <&-", {}, 2),
    "a reader of one line": ("$W simulate $(yes $SCENARIO | head -100) | head -1", {}, 141),
    "a reader of one byte": ("$W simulate $(yes $SCENARIO | head -300) --json | head -c 1", {}, 141),
    "a full disk": (f"{HASH} >/dev/full", {}, 3),
    "a full disk, for people": ("$W simulate $SCENARIO >/dev/full", {}, 3),
    "a file without an end": ("$FORKED simulate /dev/zero", {}, 2),
    "a name that is no text": (r"$FORKED simulate $'\xff.yaml'", {}, 2),
    "an id that is no text": (r"$FORKED switch $'\xff' --date 2027-01-01 --term ANNUAL", {}, 3),
}


@pytest.mark.parametrize("what", [*SURROUNDINGS])
async def test_command_succeeds_in_any_environment(unconfigured_cli: Cli, what: str) -> None:
    line, environment, code = SURROUNDINGS[what]
    result, out, _ = await run_in_shell(unconfigured_cli, line, **environment)
    assert result == code
    assert ("ERASED" in out) == (result == 0 and ">&-" not in line)


async def test_closed_stderr_does_not_redirect_errors_to_stdout(unconfigured_cli: Cli) -> None:
    assert await run_in_shell(unconfigured_cli, "$W simulate none.yaml 2>&-") == (2, "", "")


async def test_json_output_is_valid_in_any_encoding(unconfigured_cli: Cli, tmp_path: Path) -> None:
    """Characters outside the output encoding use JSON escapes."""
    result, out, _ = await run_in_shell(
        unconfigured_cli, r"$W simulate $'구독\xff.yaml' --json", PYTHONIOENCODING="ascii", PYTHONUTF8="0"
    )
    assert result == 2
    assert out.isascii()
    assert json.loads(out)["error"]["problems"][0]["file"] == "구독\udcff.yaml"


async def test_file_name_control_characters_are_escaped(unconfigured_cli: Cli) -> None:
    _, _, err = await run_in_shell(unconfigured_cli, r"$FORKED simulate $'\e]0;owned\a\xe2\x80\xae.yaml'")
    assert "\\x1b]0;owned\\x07\\u202e.yaml: cannot be read" in err
