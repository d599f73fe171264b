"""Every scenario of docs/rules.md, run and compared with its tables."""

import re
import tomllib
from dataclasses import dataclass
from fractions import Fraction

import pytest
import yaml
from support.markdown_pages import ROOT, Table, blocks, page, tables
from support.scenario_builder import catalogue

from subscription.catalogue import Catalogue, PriceBook, parse_catalogue
from subscription.scenario import ScenarioResult, read_scenario, simulate

RULES = page("docs/rules.md")
BOOK = PriceBook(versions=(parse_catalogue((ROOT / "catalogue.toml").read_text(encoding="utf-8")),))


@dataclass(frozen=True)
class Example:
    document: ScenarioResult
    tables: tuple[Table, ...]

    def table(self, first_column: str) -> Table | None:
        return next((table for table in self.tables if table.header[0] == first_column), None)


def _examples() -> list[Example]:
    """Return each scenario, with the tables up to the next scenario or rule."""
    found, scenarios = [], blocks(RULES, "yaml")
    begins = [0] + [block.position for block in scenarios[:-1]]
    ends = [block.position for block in scenarios[1:]] + [len(RULES)]
    for begin, block, end in zip(begins, scenarios, ends, strict=True):
        rule = re.compile(r"^\*\*R\d+", re.MULTILINE).search(RULES, block.position, end)
        mine = [t for t in tables(RULES) if block.position < t.position < (rule.start() if rule else end)]
        book = BOOK.with_versions(_newer_versions(begin, block.position))
        document = simulate(read_scenario(yaml.safe_load(block.text)), book, "an-example")
        found.append(Example(document, tuple(mine)))
    return found


def _newer_versions(begin: int, end: int) -> list[Catalogue]:
    """Return the versions that the page gives between two scenarios: their differences from the first one."""
    given = [tomllib.loads(block.text) for block in blocks(RULES, "toml") if begin < block.position < end]
    return [catalogue(str(differences.pop("effective_from")), **differences) for differences in given]


EXAMPLES = _examples()
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.document.name)


def test_rules_page_has_examples() -> None:
    assert len(EXAMPLES) >= 8


@each_example
def test_example_has_a_table(example: Example) -> None:
    assert example.tables


@each_example
def test_example_lines_match_the_ledger(example: Example) -> None:
    if table := example.table("line"):
        expected = [row for row in table.rows if row[0] != "…"]
        lines = [
            (line.kind.value, str(line.first_day), str(line.end_day), f"{line.amount:,}")
            for line in example.document.ledger
        ]
        if len(expected) != len(table.rows):
            lines = lines[-len(expected) :]
        assert [(*row[:3], row[4]) for row in expected] == lines


@each_example
def test_example_arithmetic_gives_the_amount(example: Example) -> None:
    if table := example.table("line"):
        for row in table.rows:
            if row[0] != "…":
                assert f"{_evaluate(row[3]) // 1:,}" == row[4]


@each_example
def test_example_events_match_the_timeline(example: Example) -> None:
    if table := example.table("at"):
        assert list(table.rows) == [
            (f"{entry.at:%Y-%m-%d %H:%M}", entry.event, entry.state.value)
            for entry in example.document.timeline
        ]


@each_example
def test_example_outcomes_match_the_commands(example: Example) -> None:
    if table := example.table("command"):
        assert list(table.rows) == [
            (outcome.command, "yes" if outcome.accepted else "no", outcome.code or "")
            for outcome in example.document.outcomes
        ]


def test_example_prices_match_the_catalogue() -> None:
    table = next(t for t in tables(RULES) if t.header == ("plan", "list", "annual"))
    assert list(table.rows) == [
        (name, f"{plan.list:,}", f"{plan.annual:,}") for name, plan in BOOK.versions[0].plans.items()
    ]


def test_every_rule_appears_once() -> None:
    numbers = re.findall(r"^\*\*R(\d+)", RULES, re.MULTILINE)
    assert sorted(map(int, numbers)) == [*range(1, 38)]


def _evaluate(arithmetic: str) -> Fraction:
    """Evaluate an expression such as `(3 + 15/30) × 6,000`."""
    assert re.fullmatch(r"[\d,/×+() ]+", arithmetic)
    exact = re.sub(r"(\d+)", r"Fraction(\1)", arithmetic.replace(",", "").replace("×", "*"))
    value = eval(exact, {"Fraction": Fraction})
    assert isinstance(value, Fraction)
    return value
