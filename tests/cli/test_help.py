"""Help headings, `--json` on every command, and shell completion."""

from typing import Any

import typer
from support.cli_runner import Cli

from entrypoints.cli.app import app
from subscription.refusals import RefusalCode


def leaf_commands(group: Any) -> list[Any]:
    return [
        leaf
        for command in group.commands.values()
        for leaf in (leaf_commands(command) if hasattr(command, "commands") else [command])
    ]


def test_every_command_accepts_json_option() -> None:
    commands = leaf_commands(typer.main.get_command(app))
    assert "status" in {command.name for command in commands}
    for command in commands:
        assert "--json" in {option for parameter in command.params for option in parameter.opts}, command.name


def test_advice_refers_to_existing_codes() -> None:
    from entrypoints.cli.errors import ADVICE

    assert set(ADVICE) <= {code.value for code in RefusalCode}


async def test_help_lists_every_command_under_a_heading(unconfigured_cli: Cli) -> None:
    result = await unconfigured_cli.run("--help")
    assert (result.code, result.err) == (0, "")
    *_, listed = result.out.partition("Getting started:")
    assert {
        line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2] != " "
    } == set(typer.main.get_group(app).commands)
    assert "Commands:" not in result.out


async def test_shell_completion_of_commands_and_values(unconfigured_cli: Cli) -> None:
    async def completed(words: str) -> list[str]:
        asking = unconfigured_cli.with_settings(
            _WORKSUB_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))
        )
        return (await asking.run()).out.split()

    assert await completed("worksub sw") == ["switch"]
    assert await completed("worksub switch ID --term ") == ["MONTHLY", "ANNUAL"]
    assert "SUSPENDED" in await completed("worksub list --state S")
    assert await completed("worksub list t") == ["trials-ending"]
