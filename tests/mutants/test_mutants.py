"""The list of mutants fits the tree as it is, and its runner tells what is killed from what survives."""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from .mutant import DoesNotApplyError, Mutant, read_mutants

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
MUTANTS = read_mutants()


def test_at_least_thirty_mutants_cover_all_four_areas() -> None:
    """Rules, database, access control and workflow."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 30
    mutated = {Path(mutant.file).stem for mutant in MUTANTS}
    assert mutated >= {
        "ledger",
        "deadlines",
        "decide",
        "subscription_repository",
        "transitions",
        "selection_queries",
        "client",
        "lifecycle",
        "subscription",
    }


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_applies_and_its_test_exists(mutant: Mutant) -> None:
    mutated = mutant.applied_to((ROOT / mutant.file).read_text(encoding="utf-8"))
    ast.parse(mutated)
    file, _, name = mutant.test.partition("::")
    assert name in functions_in(ROOT / file)


@cache
def functions_in(file: Path) -> set[str]:
    """Return the names of the functions of a module."""
    module = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("text", ["", "a < b\na < b\n"])
def test_mutant_text_must_occur_exactly_once(text: str) -> None:
    with pytest.raises(DoesNotApplyError):
        Mutant("late", "", "rule.py", "a < b", "a <= b", "").applied_to(text)


RULE = """
def is_late(a, b):
    return a < b
"""
TEST = """
from rule import is_late

def test_late():
    assert is_late(1, 2)
    assert not is_late(1, 1)

def test_early():
    assert not is_late(2, 1)
"""


def entry(name: str, before: str, after: str, test: str) -> str:
    return (
        f'[[mutant]]\nname = "{name}"\nwhy = "Late is after."\nfile = "rule.py"\n'
        f'before = "{before}"\nafter = "{after}"\ntest = "test_rule.py::{test}"\n'
    )


KILLED = entry("found", "a < b", "a <= b", "test_late")


def evaluated(tree: Path, *mutants: str) -> subprocess.CompletedProcess[str]:
    """Run the runner over a small tree with one rule and its tests."""
    for name, text in (("rule.py", RULE), ("test_rule.py", TEST), ("list.toml", "".join(mutants))):
        (tree / name).write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "--quiet"], cwd=tree, check=True)
    return subprocess.run(
        [sys.executable, "-m", "mutants.main", "--root", tree, "--list", tree / "list.toml"],
        cwd=TESTS,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_killed_mutants_exit_zero_and_leave_tree_unchanged(tmp_path: Path) -> None:
    ended = evaluated(tmp_path, KILLED)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 killed, 0 survived, 0 no verdict" in ended.stdout
    assert (tmp_path / "rule.py").read_text(encoding="utf-8") == RULE


def test_other_verdicts_exit_nonzero(tmp_path: Path) -> None:
    ended = evaluated(
        tmp_path,
        entry("unseen", "a < b", "a <= b", "test_early"),
        entry("outdated", "a > b", "a >= b", "test_late"),
        entry("broken", "a < b", "a <", "test_late"),
        KILLED,
    )
    assert ended.returncode == 1
    for verdict, name in (
        ("SURVIVED", "unseen"),
        ("NO VERDICT", "outdated"),
        ("NO VERDICT", "broken"),
        ("killed", "found"),
    ):
        assert re.search(rf"\] {verdict} .* {name}$", ended.stdout, re.MULTILINE), ended.stdout
    assert "has its text 0 times" in ended.stdout
    assert "1 killed, 1 survived, 2 no verdict" in ended.stdout


def test_failing_baseline_gives_no_verdict(tmp_path: Path) -> None:
    ended = evaluated(tmp_path, entry("any", "a < b", "a <= b", "test_that_is_not_there"))
    assert ended.returncode == 1
    assert "they show nothing about a fault" in ended.stdout
    assert "killed" not in ended.stdout
