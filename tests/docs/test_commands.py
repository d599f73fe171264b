"""Every command line, workflow, update, signal and query name in the documentation exists."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import typer
from support.markdown_pages import PAGES, ROOT, inline_code, page, shell_lines, tables

from adapters.temporal.client import TASK_QUEUE
from adapters.temporal.search_attributes import REGISTRY
from entrypoints.cli.app import create_app
from subscription.commands import COMMANDS, Command, QuoteCancellation, parse_command, parse_quote
from subscription.notice_outbox import NoticesWorkflowInput
from subscription.refusals import Refusal
from subscription.validation import parse_strict

WORKSUB = typer.main.get_command(create_app())
COMMANDS_PAGE = page("docs/commands.md")

# Names other than commands that the workflow accepts, and names shown as refused.
NO_COMMANDS = ("needs_attention", "settle")
MISTAKES = ({"date": "soon"}, {"date": "soon", "colour": "red"})


Lines: TypeAlias = Iterator[tuple[Path, str]]


def _failures(lines: Lines, check: Callable[[str], None]) -> list[str]:
    """Return the lines for which the check fails, with the page and the reason."""
    failures = []
    for path, line in lines:
        try:
            check(line)
        except Exception as error:
            failures.append(f"{path.name}: {line}: {error!r}")
    return failures


def _worksub_lines() -> Lines:
    """Yield the arguments of `worksub` in shell blocks, in a container or not."""
    for path in PAGES:
        for line in shell_lines(path.read_text(encoding="utf-8")):
            command = re.fullmatch(r"(?:docker compose run .*)?\bworksub (.+)", line)
            if command:
                yield path, command[1]


def _temporal_lines() -> Lines:
    for path in PAGES:
        for line in shell_lines(path.read_text(encoding="utf-8")):
            if line.startswith("temporal "):
                yield path, line


def _inline_lines() -> Lines:
    """Yield inline `worksub …` commands, which may omit arguments."""
    for path in PAGES:
        for code in inline_code(path.read_text(encoding="utf-8")):
            if re.match(r"worksub [a-z]", code):
                yield path, code.removeprefix("worksub ")


def _command_of(words: list[str]) -> tuple[Any, list[str]]:
    command: Any = WORKSUB
    while hasattr(command, "commands") and words:
        assert words[0] in command.commands, f"there is no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def test_worksub_commands_in_shell_blocks_parse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert _failures(_worksub_lines(), _parse_worksub) == []


def _parse_worksub(line: str) -> None:
    words = shlex.split(re.split(r"[<>|]", line)[0])
    if words[0].startswith("--"):
        assert words[0] in _options(WORKSUB)
    else:
        command, arguments = _command_of(words)
        command.make_context(words[0], arguments)


def test_inline_worksub_commands_exist() -> None:
    assert _failures(_inline_lines(), _find_worksub) == []


def _find_worksub(line: str) -> None:
    command, words = _command_of([word for word in shlex.split(line) if word not in ("…", "|")])
    assert {word for word in words if word.startswith("--")} <= _options(command) | {"--help"}


def test_every_command_has_an_example() -> None:
    shown = {_command_of(shlex.split(re.split(r"[<>|]", line)[0]))[0] for _, line in _worksub_lines()}
    assert {command.name for command in _leaves(WORKSUB)} == {command.name for command in shown}


def test_temporal_commands_and_options_exist() -> None:
    assert _failures(_temporal_lines(), _find_temporal) == []


def _find_temporal(line: str) -> None:
    words = shlex.split(line)
    flags = [word for word in words if word.startswith("--")]
    subcommand = words[1 : words.index(flags[0])] if flags else words[1:]
    described = _temporal_help(*subcommand)
    assert f"temporal {' '.join(subcommand)} [flags]" in described
    assert [flag for flag in flags if not re.search(rf"{flag}\b", described)] == []


def test_temporal_command_payloads_are_valid() -> None:
    assert _failures(_temporal_lines(), _parse_input) == []


def _parse_input(line: str) -> None:
    words = shlex.split(line)
    if "--input" not in words:
        return
    argument = json.loads(words[words.index("--input") + 1])
    if "--type" in words:
        assert words[words.index("--type") + 1] == "NoticesWorkflow"
        parse_strict(NoticesWorkflowInput, argument)
        return
    name = words[words.index("--name") + 1]
    if name in NO_COMMANDS:
        assert isinstance(argument, dict)
        return
    read = parse_quote(argument) if name == "quote_cancellation" else parse_command(name, argument)
    assert isinstance(read, Refusal if argument in MISTAKES else Command | QuoteCancellation)


def test_tctl_replacements_exist_with_their_options() -> None:
    [table] = [table for table in tables(page("docs/operations.md")) if table.header == ("tctl", "temporal")]
    for _, cell in table.rows:
        words = cell.partition("`")[0].split()
        flags = [word for word in words if word.startswith("--")]
        described = _temporal_help(*words[1 : words.index(flags[0]) if flags else len(words)])
        assert "[flags]" in described, cell
        everywhere = _temporal_help("options")
        assert [flag for flag in flags if flag not in described and flag not in everywhere] == [], cell


def test_documented_wire_names_match_the_commands() -> None:
    table = next(t for t in tables(COMMANDS_PAGE) if t.header == ("name", "argument"))
    assert table.column("name") == list(COMMANDS)
    for name, argument in table.rows:
        assert isinstance(parse_command(name, json.loads(argument)), Command)


def test_documented_search_attributes_match_the_registry() -> None:
    table = next(t for t in tables(COMMANDS_PAGE) if t.header[0] == "search attribute")
    types = {key.name: key.indexed_value_type.name.lower() for key in REGISTRY}
    assert {row[0]: row[1] for row in table.rows} == types
    attributes = re.findall(r"--sa (\w+)=(\w+)", page("docs/deployment.md"))
    assert {name: kind.lower() for name, kind in attributes} == types


def test_documented_queries_match_the_workflow() -> None:
    source = (ROOT / "workflows" / "subscription.py").read_text(encoding="utf-8")
    table = next(t for t in tables(COMMANDS_PAGE) if t.header[0] == "query")
    assert table.column("query") == re.findall(r"@workflow\.query\(.*\)\n    def (\w+)", source)


def test_task_queue_is_documented() -> None:
    assert f"task queue `{TASK_QUEUE}`" in COMMANDS_PAGE


def _options(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


def _leaves(command: Any) -> Iterator[Any]:
    if hasattr(command, "commands"):
        for each in command.commands.values():
            yield from _leaves(each)
    else:
        yield command


@cache
def _temporal_help(*subcommand: str) -> str:
    temporal = Path(sys.executable).with_name("temporal")
    help_of = ["options"] if subcommand == ("options",) else [*subcommand, "--help"]
    return subprocess.run([temporal, *help_of], capture_output=True, text=True, check=True).stdout
