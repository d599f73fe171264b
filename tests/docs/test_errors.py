"""docs/errors.md lists every refusal code exactly once, and no others."""

import re

from support.markdown_pages import ROOT, page, tables

from entrypoints.cli.errors import ExitCode
from entrypoints.http.sign_in_refusals import SignInRefusal
from subscription.refusals import RefusalCode

TEXT = page("docs/errors.md")


def test_every_code_is_explained_once() -> None:
    explained = [row for table in tables(TEXT) if table.header[0] == "code" for row in table.rows]
    assert sorted(row[0] for row in explained) == sorted(code.value for code in RefusalCode)
    assert all(meaning and advice for _, meaning, advice in explained)


def test_every_code_of_the_command_is_explained_once() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "entrypoints" / "cli").glob("*.py"))
    used = set(re.findall(r'(?:unavailable|CommandError)\(\s*(?:ExitCode\.\w+,\s*)?"([A-Z_]+)"', source))
    [explained] = [table for table in tables(TEXT) if table.header[0] == "code of the command"]
    assert sorted(explained.column("code of the command")) == sorted(used - set(RefusalCode))
    assert {int(number) for number in explained.column("exit code")} <= set(ExitCode)


def test_every_code_of_a_refused_sign_in_is_explained_once() -> None:
    [explained] = [table for table in tables(TEXT) if table.header[0] == "code of a sign-in"]
    assert sorted(explained.column("code of a sign-in")) == sorted(SignInRefusal)
    assert all(explained.column("what to do"))


def test_documented_exit_codes_match_the_command() -> None:
    [explained] = [table for table in tables(page("docs/commands.md")) if table.header[0] == "exit code"]
    assert [int(row[0]) for row in explained.rows] == list(ExitCode)


def test_rules_named_by_codes_exist() -> None:
    named = {int(number) for number in re.findall(r"\bR(\d+)\b", TEXT)}
    rules = re.findall(r"^\*\*R(\d+)", page("docs/rules.md"), re.MULTILINE)
    assert named <= set(map(int, rules))
