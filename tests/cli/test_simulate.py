"""Scenarios by the rules: their results, and invalid scenario files.

The results on Temporal are tested in tests/property/test_engines_agree.py, the option for it in
tests/docs/test_readme.py.
"""

import json
from pathlib import Path
from typing import Any

from support.cli_runner import ROOT, Cli, Ended

EXAMPLES = sorted((ROOT / "tests" / "examples").glob("*.yaml"))
SCENARIO = """
name: {name}
request: {{at: 2026-12-20T10:00:00+09:00, plan: lite, account: {{group: acme}}}}
steps:
  - {{at: 2026-12-21T09:00:00+09:00, switch_to_paid: {{date: 2027-01-01, term: ANNUAL}}}}
until: 2027-02-01T00:00:00+09:00
"""


def documents(result: Ended) -> list[dict[str, Any]]:
    assert result.code == 0, result
    return [json.loads(line) for line in result.out.splitlines()]


def expected_part(document: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a result document that the example expectations cover."""
    fields = ("kind", "from", "to", "amount", "effective_at")
    return {
        "accepted": [outcome["accepted"] for outcome in document["outcomes"]],
        "ledger": [{field: line[field] for field in fields} for line in document["ledger"]],
        "state": document["final"]["state"],
    }


async def test_simulation_matches_the_example_expectations(unconfigured_cli: Cli) -> None:
    files = [str(path) for path in EXAMPLES]
    by_rules = await unconfigured_cli.run("simulate", *files, "--json")
    for path, document in zip(EXAMPLES, documents(by_rules), strict=True):
        expected = json.loads(path.with_name(f"{path.stem}.expected.json").read_text())
        assert expected_part(document) == expected, path.name


async def test_documents_follow_file_and_document_order(unconfigured_cli: Cli) -> None:
    (unconfigured_cli.directory / "two.yaml").write_text(
        "\n---".join(SCENARIO.format(name=name) for name in ("b", "a"))
    )
    (unconfigured_cli.directory / "one.yaml").write_text(SCENARIO.format(name="c"))
    result = await unconfigured_cli.run("simulate", "two.yaml", "one.yaml", "--json")
    assert [document["name"] for document in documents(result)] == ["b", "a", "c"]


async def test_simulation_uses_the_given_catalogue(unconfigured_cli: Cli, tmp_path: Path) -> None:
    text = (ROOT / "catalogue.toml").read_text()
    (tmp_path / "dear.toml").write_text(text.replace("annual = 3000 ", "annual = 3100 "))
    (tmp_path / "wrong.toml").write_text(text.replace("annual = 3000 ", "annual = 9999 "))
    (tmp_path / "one.yaml").write_text(SCENARIO.format(name="one"))
    [dear] = documents(
        await unconfigured_cli.run("simulate", "one.yaml", "--catalogue", "dear.toml", "--json")
    )
    assert [line["amount"] for line in dear["ledger"]] == [3100]
    wrong = await unconfigured_cli.run("simulate", "one.yaml", "--catalogue", "wrong.toml")
    assert wrong.code == 2
    assert "wrong.toml, line " in wrong.err


async def test_text_output_has_tables(unconfigured_cli: Cli) -> None:
    (unconfigured_cli.directory / "one.yaml").write_text(SCENARIO.format(name="a lite life"))
    result = await unconfigured_cli.run("simulate", "one.yaml")
    assert result.code == 0
    for seen in ("a lite life", "switch_to_paid", "accepted", "SWITCHED_TO_PAID", "3,000", "ACTIVE"):
        assert seen in result.out


async def test_no_scenario_runs_while_any_file_is_invalid(unconfigured_cli: Cli) -> None:
    (unconfigured_cli.directory / "good.yaml").write_text(SCENARIO.format(name="good"))
    (unconfigured_cli.directory / "bad.yaml").write_text(
        SCENARIO.format(name="bad").replace("until: 2027-02-01T00:00:00+09:00", "untill: 2027-02-01")
        + "---"
        + SCENARIO.format(name="worse").replace("switch_to_paid", "switch_to_gold")
    )
    result = await unconfigured_cli.run("simulate", "good.yaml", "bad.yaml", "missing.yaml", "--json")
    assert result.code == 2
    found = [
        (problem["file"], problem["line"], problem["field"], problem["code"])
        for problem in result.error["problems"]
    ]
    assert found == [
        ("bad.yaml", 2, "until", "MISSING_FIELD"),
        ("bad.yaml", 6, "untill", "UNKNOWN_FIELD"),
        ("bad.yaml", 10, "steps", "INVALID_VALUE"),
        ("missing.yaml", None, None, "INVALID_FILE"),
    ]
    for_people = await unconfigured_cli.run(
        "simulate", "good.yaml", "bad.yaml", "missing.yaml", "--engine", "temporal"
    )
    assert for_people.code == 2
    assert "bad.yaml, line 6: untill: There is no such field." in for_people.err
    assert "missing.yaml: cannot be read: No such file or directory" in for_people.err


async def test_invalid_scenarios_are_refused(unconfigured_cli: Cli) -> None:
    slips = (
        ("2026-12-21T09", "2026-12-19T09"),
        ("until: 2027-02-01", "until: 2026-12-20"),
        ("at: 2026-12-20T10:00:00+09:00, plan", "plan"),
        ("at: 2026-12-20T10:00:00+09:00, plan", "at: soon, plan"),
        ("until: 2027-02-01T00:00:00+09:00", "until: 2027-02-01T00:00:00"),
    )
    text = SCENARIO.format(name="odd")
    for number, (old, new) in enumerate(slips):
        assert old in text
        (unconfigured_cli.directory / f"{number}.yaml").write_text(text.replace(old, new))
    files = [f"{number}.yaml" for number in range(len(slips))]
    result = await unconfigured_cli.run("simulate", *files, "--json")
    assert result.code == 2
    assert [problem["field"] for problem in result.error["problems"]] == [
        *("steps", None, "request.at", "request.at", "until"),
    ]
