"""Every guarantee links existing tests, and the page has a place for the figures of the chaos run."""

import re

import pytest
from chaos.report import Report
from support.markdown_pages import ROOT, page, tables

_TEST = re.compile(r"\[(test_\w+)\]\(\.\./(tests/[\w/]+\.py)\)")

GUARANTEES = [
    row for table in tables(page("docs/guarantees.md")) if "guarantee" in table.header for row in table.rows
]


@pytest.mark.parametrize("row", GUARANTEES, ids=lambda row: row[0])
def test_guarantee_links_existing_tests(row: tuple[str, ...]) -> None:
    named = _TEST.findall(row[-1])
    assert named
    for test, file in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8")


def test_chaos_figures_have_a_place_in_the_page() -> None:
    figures = Report(
        seed=4711,
        seconds=90,
        subscriptions=200,
        subscriptions_by_api=100,
        refused_rivals=40,
        erased=120,
        commands_accepted=600,
        commands_refused=300,
        copies=500,
        transitions=3000,
        lines=1500,
        charged=10**9,
        runs=700,
        webhooks_delivered=1600,
        webhooks_repeated=30,
        faults={"SIGKILL of a worker": 12},
        differences=(),
    )
    written = figures.written_into(page("docs/guarantees.md"))
    assert "| seed | 4711 |" in written
    assert "| SIGKILL of a worker | 12 |" in written
    assert figures.written_into(written) == written
