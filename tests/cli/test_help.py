"""Help headings, `--json` on every command, and shell completion."""

from importlib import import_module
from typing import Any

import pytest
import typer
from support.cli_runner import ROOT, Cli

from entrypoints.cli.app import create_app
from entrypoints.cli.parts import PARTS, parts_for
from subscription.refusals import RefusalCode


def leaf_commands(group: Any) -> list[Any]:
    return [
        leaf
        for command in group.commands.values()
        for leaf in (leaf_commands(command) if hasattr(command, "commands") else [command])
    ]


def test_every_command_accepts_json_option() -> None:
    commands = leaf_commands(typer.main.get_command(create_app()))
    assert "status" in {command.name for command in commands}
    for command in commands:
        assert "--json" in {option for parameter in command.params for option in parameter.opts}, command.name


def test_advice_refers_to_existing_codes() -> None:
    from entrypoints.cli.errors import ADVICE

    assert {name.partition(".")[0] for name in ADVICE} <= {code.value for code in RefusalCode}


async def test_help_lists_every_command_under_a_heading(unconfigured_cli: Cli) -> None:
    result = await unconfigured_cli.run("--help")
    assert (result.code, result.err) == (0, "")
    *_, listed = result.out.partition("Getting started:")
    assert {
        line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2] != " "
    } == set(typer.main.get_group(create_app()).commands)
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


@pytest.mark.parametrize("part", PARTS)
def test_part_has_the_listed_commands(part: str) -> None:
    """Otherwise `worksub COMMAND` would not import the module of the command."""
    assert tuple(typer.main.get_group(create_app([part])).commands) == PARTS[part]


def test_parts_are_all_modules_with_commands() -> None:
    modules = {file.stem for file in (ROOT / "entrypoints" / "cli").glob("[a-z]*.py")} - {"app"}
    with_commands = {
        name
        for name in modules
        if isinstance(getattr(import_module(f"entrypoints.cli.{name}"), "app", None), typer.Typer)
    }
    assert with_commands == set(PARTS)


def test_command_imports_one_part() -> None:
    assert list(parts_for(["status", "ID", "--json"])) == ["status"]
    assert list(parts_for(["--json", "keys", "list"])) == ["api_keys"]
    assert list(parts_for([])) == list(parts_for(["--help"])) == list(parts_for(["stats"])) == list(PARTS)


async def test_generated_help_is_current(unconfigured_cli: Cli) -> None:
    """If this fails, run `make settings`."""
    generated = (ROOT / "entrypoints" / "cli" / "help.txt").read_text()
    at_80 = unconfigured_cli.with_settings(COLUMNS="80")
    assert (await at_80.run("--help")).out == generated
    assert (await unconfigured_cli.run()).out == generated
    assert (await unconfigured_cli.with_settings(COLUMNS="40").run("-h")).out != generated
