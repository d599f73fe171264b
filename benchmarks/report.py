"""The figures in `docs/performance.md`, between its markers, and the plot beside it.

All of it is written from `docs/performance.json`, which has each part as it was measured last, so that no
number of the page can differ from what was measured.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.capacity_model import PRICES_AS_OF, PRICES_FROM, first_bottleneck, needs
from benchmarks.chart import plot
from benchmarks.metrics import HEADINGS, Figure, spread
from benchmarks.results import Measured, from_json, to_json
from benchmarks.workload import Sizes

DOCS = Path(__file__).parents[1] / "docs"
PAGE, DATA, PLOT = DOCS / "performance.md", DOCS / "performance.json", DOCS / "images" / "performance.svg"


def read() -> dict[str, Measured]:
    """What is kept; nothing before the first run."""
    return from_json(json.loads(DATA.read_text(encoding="utf-8"))) if DATA.exists() else {}


def rewrite(measured: Mapping[str, Measured]) -> None:
    """Keep these parts, and make the page and the plot show them."""
    DATA.write_text(json.dumps(to_json(measured), indent=1) + "\n", encoding="utf-8")
    PLOT.write_text(plot(figures_of(measured)), encoding="utf-8")
    PAGE.write_text(shown(PAGE.read_text(encoding="utf-8"), measured), encoding="utf-8")


def shown(page: str, measured: Mapping[str, Measured]) -> str:
    """The page with these parts between its markers."""
    page = _between(page, "summary", _summary(figures_of(measured)))
    page = _between(page, "run", _measured(measured))
    return _between(page, "million", _million(figures_of(measured)))


def figures_of(measured: Mapping[str, Measured]) -> list[Figure]:
    return [figure for part in measured.values() for figure in part.figures]


def _between(page: str, name: str, text: str) -> str:
    begin, end = f"<!-- bench: {name} -->", f"<!-- end of bench: {name} -->"
    before, found, rest = page.partition(begin)
    _, found_too, after = rest.partition(end)
    if not found or not found_too:
        raise ValueError(f"docs/performance.md must have {begin} and {end}.")
    return f"{before}{begin}\n{text}\n{end}{after}"


def _summary(figures: Sequence[Figure]) -> str:
    """Return a table of the medians of all figures that have a goal."""
    return "\n".join(
        [
            _row(["figure", "worksub", "plain", "goal", "reached"]),
            _row(["---"] * 5),
            *(
                _row([figure.titled, _median(figure.ours), _median(figure.plain), *figure.cells[-2:]])
                for figure in figures
                if figure.goal is not None
            ),
        ]
    )


def _median(values: Sequence[float]) -> str:
    return spread([statistics.median(values)]) if values else spread([])


def _measured(measured: Mapping[str, Measured]) -> str:
    figures = figures_of(measured)
    goals = [figure.reached for figure in figures if figure.goal is not None]
    return "\n".join(
        [
            *(_run(run, measured) for run in sorted({_same_run(part) for part in measured.values()})),
            "",
            f"{sum(map(bool, goals))} of {len(goals)} goals are reached.",
            "",
            _row(HEADINGS),
            _row(["---"] * len(HEADINGS)),
            *(_row(figure.cells) for figure in figures),
            "",
            f"![Each figure beside its goal]({PLOT.relative_to(DOCS)})",
        ]
    )


def _same_run(part: Measured) -> str:
    """What the parts of one run have in common, in words."""
    sizes = asdict(part.sizes)
    unusual = [f"{name} {sizes[name]:,}" for name, usual in asdict(Sizes()).items() if sizes[name] != usual]
    note = f", **not in the usual sizes: {', '.join(unusual)}**" if unusual else ""
    return (
        f"{part.run:%Y-%m-%d %H:%M} UTC, {part.cores} cores, Python {part.python}, "
        f"{part.sizes.rounds} rounds{note}"
    )


def _run(run: str, measured: Mapping[str, Measured]) -> str:
    parts = {name: part for name, part in measured.items() if _same_run(part) == run}
    minutes = sum(part.seconds for part in parts.values()) / 60
    return f"- {run}: {', '.join(parts)} ({minutes:.0f} min)"


def _million(figures: Sequence[Figure]) -> str:
    try:
        reckoned = needs(figures)
    except LookupError:
        return "It is reckoned once every part has been measured."
    return "\n".join(
        [
            _row(["what", "how much", "reckoned from"]),
            _row(["---"] * 3),
            *(_row([need.what, need.amount, need.reckoned]) for need in reckoned),
            "",
            f"{first_bottleneck(figures)} Prices are those of {PRICES_AS_OF}, from <{PRICES_FROM}>.",
        ]
    )


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
