"""docs/errors.md has every refusal code, each once, and no other."""

import re

from .pages import page, tables
from subscription.refusals import Code


def test_every_code_is_explained_once() -> None:
    explained = [row for table in tables(page("docs/errors.md")) if table.header[0] == "code" for row in table.rows]
    assert sorted(row[0] for row in explained) == sorted(code.value for code in Code)
    assert all(meaning and advice for _, meaning, advice in explained)


def test_the_rules_that_codes_name_exist() -> None:
    named = {int(number) for number in re.findall(r"\bR(\d+)\b", page("docs/errors.md"))}
    assert named <= set(range(1, 34))
