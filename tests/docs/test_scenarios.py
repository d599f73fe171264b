"""The examples of docs/scenarios.md parse and produce the documented results."""

import json
from pathlib import Path

import pytest
from support.markdown_pages import ROOT, blocks, page, tables

from entrypoints.cli.app import run
from subscription.catalogue import parse_catalogue
from subscription.deadlines import DeadlineKind
from subscription.scenario import STEPS

from .test_worked_examples import BOOK

TEXT = page("docs/scenarios.md")


def test_example_result_matches_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [scenario], [shown] = blocks(TEXT, "yaml"), blocks(TEXT, "json")
    file = tmp_path / "scenario.yaml"
    file.write_text(scenario.text, encoding="utf-8")
    assert run(["simulate", str(file), "--json"]) == 0
    document, expected = json.loads(capsys.readouterr().out), json.loads(shown.text)
    expected["outcomes"][0]["message"] = document["outcomes"][0]["message"]
    expected["ledger"][0]["key"] = document["ledger"][0]["key"]
    assert list(document) == list(expected)
    assert document["name"] == expected["name"]
    assert document["final"] == expected["final"]
    for part in ("outcomes", "timeline", "ledger"):
        assert document[part][0] == expected[part][0]
    assert all(outcome["accepted"] for outcome in document["outcomes"])


def test_rules_page_scenarios_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "lives.yaml"
    scenarios = [block.text for block in blocks(page("docs/rules.md"), "yaml")]
    file.write_text("---\n".join(scenarios), encoding="utf-8")
    assert run(["simulate", str(file), "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(scenarios)


def test_documented_steps_match_the_commands() -> None:
    table = next(t for t in tables(TEXT) if t.header[0] == "step")
    assert table.column("step") == list(STEPS)


def test_documented_deadlines_match_the_rules() -> None:
    table = next(t for t in tables(TEXT) if t.header[0] == "what")
    assert table.column("what") == [due.value for due in DeadlineKind]


def test_documented_catalogue_is_the_shipped_one() -> None:
    [shown] = blocks(TEXT, "toml")
    example, shipped = parse_catalogue(shown.text), BOOK.versions[0]
    assert example.model_copy(update={"terms": shipped.terms, "plans": shipped.plans}) == shipped
    assert example.without_texts().plans["lite"] == shipped.without_texts().plans["lite"]
    assert example.without_texts().terms[0] in shipped.without_texts().terms
    assert example.terms[0].title == shipped.terms[0].title


def test_shipped_catalogue_is_in_the_repository_root() -> None:
    assert (ROOT / "catalogue.toml").exists()
