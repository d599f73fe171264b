"""Each alert fires, stays inactive, and fires when its input series are absent."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from support.markdown_pages import ROOT, page, tables

DIRECTORY = ROOT / "ops" / "prometheus"
RULES = [
    rule
    for file in sorted(DIRECTORY.glob("alerts*.yml"))
    for group in yaml.safe_load(file.read_text()).get("groups", ())
    for rule in group["rules"]
]
TEST_FILES = sorted(DIRECTORY.glob("alerts*.test.yml"))
TESTS: dict[str, Any] = {
    test["name"]: test for file in TEST_FILES for test in yaml.safe_load(file.read_text())["tests"]
}


def promtool(*arguments: str) -> None:
    path = shutil.which("promtool")
    assert path, "The tests of the alerts need promtool; on Debian: apt-get install prometheus"
    run = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("file", TEST_FILES, ids=[file.name for file in TEST_FILES])
def test_promtool_unit_tests_pass(file: Path) -> None:
    promtool("test", "rules", str(file))


def test_promtool_accepts_the_sample_configuration() -> None:
    promtool("check", "config", str(DIRECTORY / "prometheus.yml"))


def test_each_alert_has_three_tests_and_an_entry_in_the_runbook() -> None:
    alerts = [rule["alert"] for rule in RULES]
    assert sorted(TESTS) == sorted(
        f"{alert} {outcome}" for alert in alerts for outcome in ("fires", "does not fire", "fires on absence")
    )
    [runbook] = [each for each in tables(page("docs/monitoring.md")) if each.header[0] == "alert"]
    assert sorted(runbook.column("alert")) == sorted(alerts)
    assert all(runbook.column("what to do"))


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_alert_tests_query_the_alert_in_their_name(rule: dict[str, Any]) -> None:
    alert = rule["alert"]
    for outcome, firing in (("fires", 1), ("does not fire", 0), ("fires on absence", 1)):
        [expected] = TESTS[f"{alert} {outcome}"]["promql_expr_test"]
        assert expected["expr"] == f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})'
        assert [exp_sample["value"] for exp_sample in expected["exp_samples"]] == [firing] * firing
    absent = {name_of(each["series"]) for each in TESTS[f"{alert} fires on absence"].get("input_series", ())}
    assert absent.isdisjoint(names_in(rule["expr"]))


def name_of(series: str) -> str:
    return series.partition("{")[0]


def names_in(expression: str) -> set[str]:
    found: set[str] = set()

    def visit(part: Any) -> None:
        if isinstance(part, promql_parser.VectorSelector):
            found.add(str(part.name))

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_summary_has_no_value_when_series_is_absent(rule: dict[str, Any]) -> None:
    """The value -1 marks absence. It must not be shown as a count or a duration."""
    summary = rule["annotations"]["summary"]
    assert ("-absent(" in rule["expr"]) == summary.startswith("{{ if lt $value 0.0 }}")
