"""The figures in `docs/performance.md`, between its markers, and the plot beside it.

All of it is written from `docs/performance.json`, the last run of the whole bench, so that no number of the
page can differ from what was measured.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.figures import HEADINGS, Figure
from benchmarks.growth import PRICES_AS_OF, PRICES_FROM, first_bottleneck, needs
from benchmarks.plot import plot
from benchmarks.sizes import Sizes

DOCS = Path(__file__).parents[1] / "docs"
PAGE, DATA, PLOT = DOCS / "performance.md", DOCS / "performance.json", DOCS / "images" / "performance.svg"


def rewrite(document: dict[str, Any]) -> None:
    """Keep this run, and make the page and the plot show it."""
    DATA.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    PLOT.write_text(plot(figures_of(document)), encoding="utf-8")
    PAGE.write_text(shown(PAGE.read_text(encoding="utf-8"), document), encoding="utf-8")


def shown(page: str, document: dict[str, Any]) -> str:
    """The page with this run between its markers."""
    figures = figures_of(document)
    page = _between(page, "run", _run(document, figures))
    return _between(page, "million", _million(figures))


def _between(page: str, name: str, text: str) -> str:
    begin, end = f"<!-- bench: {name} -->", f"<!-- end of bench: {name} -->"
    before, found, rest = page.partition(begin)
    _, found_too, after = rest.partition(end)
    if not found or not found_too:
        raise ValueError(f"docs/performance.md must have {begin} and {end}.")
    return f"{before}{begin}\n{text}\n{end}{after}"


def figures_of(document: dict[str, Any]) -> list[Figure]:
    worked_out = ("ratios", "reached")
    return [
        Figure(**{name: value for name, value in each.items() if name not in worked_out})
        for each in document["figures"]
    ]


def _run(document: dict[str, Any], figures: Sequence[Figure]) -> str:
    minutes = sum(document["seconds"].values()) / 60
    goals = [figure.reached for figure in figures if figure.goal is not None]
    sizes = document["sizes"]
    on = f"{document['on'][:10]}, {document['cores']} cores, Python {document['python']}"
    unusual = [f"{name} {sizes[name]:,}" for name, usual in asdict(Sizes()).items() if sizes[name] != usual]
    note = f" **Not in the usual sizes: {', '.join(unusual)}.**" if unusual else ""
    return "\n".join(
        [
            f"{on}, {sizes['rounds']} rounds, {minutes:.0f} minutes. "
            f"{sum(map(bool, goals))} of {len(goals)} goals are reached.{note}",
            "",
            _row(HEADINGS),
            _row(["---"] * len(HEADINGS)),
            *(_row(figure.cells) for figure in figures),
            "",
            f"![Each figure beside its goal]({PLOT.relative_to(DOCS)})",
        ]
    )


def _million(figures: Sequence[Figure]) -> str:
    return "\n".join(
        [
            _row(["what", "how much", "reckoned from"]),
            _row(["---"] * 3),
            *(_row([need.what, need.amount, need.reckoned]) for need in needs(figures)),
            "",
            f"{first_bottleneck(figures)} Prices are those of {PRICES_AS_OF}, from <{PRICES_FROM}>.",
        ]
    )


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
