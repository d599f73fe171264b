"""Help comes quickly, every command answers in JSON, and the shell completes."""

import subprocess
import sys
from typing import Any

import typer

from starter.cli.app import app
from subscription.refusals import Code

from .running import Cli


def leaves(group: Any) -> list[Any]:
    return [
        leaf
        for each in group.commands.values()
        for leaf in (leaves(each) if hasattr(each, "commands") else [each])
    ]


def test_what_is_heavy_is_not_imported_for_help() -> None:
    code = "import sys, starter.cli; print(*{'temporalio', 'asyncpg', 'pydantic', 'rich'} & {*sys.modules})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []


def test_every_command_takes_json() -> None:
    commands = leaves(typer.main.get_command(app))
    assert "status" in {each.name for each in commands}
    for each in commands:
        assert "--json" in {option for parameter in each.params for option in parameter.opts}, each.name


def test_advice_is_for_codes_that_there_are() -> None:
    from starter.cli.errors import ADVICE

    assert set(ADVICE) <= {code.value for code in Code}


async def test_the_shell_completes_commands_and_values(alone: Cli) -> None:
    async def completed(words: str) -> list[str]:
        asking = alone.with_settings(
            _WORKSUB_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))
        )
        return (await asking.run()).out.split()

    assert await completed("worksub sw") == ["switch"]
    assert await completed("worksub switch ID --term ") == ["MONTHLY", "ANNUAL"]
    assert "SUSPENDED" in await completed("worksub list --state S")
    assert await completed("worksub list t") == ["trials-ending"]
