"""The generated sections of `docs/performance.md`, and the chart of the page.

Both are generated from `docs/performance.json`, which has the latest result of each case. So the numbers on
the page always match the measurement.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.capacity_model import PRICES_AS_OF, PRICES_FROM, first_bottleneck, resource_needs
from benchmarks.chart import plot
from benchmarks.metrics import HEADINGS, Figure, spread
from benchmarks.results import CaseResult, from_json, to_json
from benchmarks.workload import Sizes

DOCS = Path(__file__).parents[1] / "docs"
PAGE, DATA, PLOT = DOCS / "performance.md", DOCS / "performance.json", DOCS / "images" / "performance.svg"


def load_results() -> dict[str, CaseResult]:
    """Return the stored results; empty before the first run."""
    return from_json(json.loads(DATA.read_text(encoding="utf-8"))) if DATA.exists() else {}


def save_results(measured: Mapping[str, CaseResult]) -> None:
    """Store the results and update the page and the chart."""
    DATA.write_text(json.dumps(to_json(measured), indent=1) + "\n", encoding="utf-8")
    PLOT.write_text(plot(figures_of(measured)), encoding="utf-8")
    PAGE.write_text(render_page(PAGE.read_text(encoding="utf-8"), measured), encoding="utf-8")


def render_page(page: str, measured: Mapping[str, CaseResult]) -> str:
    """Return the page with the text between its markers replaced by these results."""
    page = _between(page, "summary", _summary(figures_of(measured)))
    page = _between(page, "run", _results_section(measured))
    return _between(page, "million", _capacity_section(figures_of(measured)))


def figures_of(measured: Mapping[str, CaseResult]) -> list[Figure]:
    return [figure for result in measured.values() for figure in result.figures]


def _between(page: str, name: str, text: str) -> str:
    begin, end = f"<!-- bench: {name} -->", f"<!-- end of bench: {name} -->"
    before, begin_found, rest = page.partition(begin)
    _, end_found, after = rest.partition(end)
    if not begin_found or not end_found:
        raise ValueError(f"docs/performance.md must have {begin} and {end}.")
    return f"{before}{begin}\n{text}\n{end}{after}"


def _summary(figures: Sequence[Figure]) -> str:
    """Return a table of the medians of all figures that have a goal."""
    return "\n".join(
        [
            _row(["figure", "worksub", "plain", "goal", "reached"]),
            _row(["---"] * 5),
            *(
                _row([figure.title, _median(figure.ours), _median(figure.plain), *figure.cells[-2:]])
                for figure in figures
                if figure.goal is not None
            ),
        ]
    )


def _median(values: Sequence[float]) -> str:
    return spread([statistics.median(values)]) if values else spread([])


def _results_section(measured: Mapping[str, CaseResult]) -> str:
    figures = figures_of(measured)
    goals = [figure.reached for figure in figures if figure.goal is not None]
    return "\n".join(
        [
            *(_run(run, measured) for run in sorted({_run_description(case) for case in measured.values()})),
            "",
            f"{sum(map(bool, goals))} of {len(goals)} goals are reached.",
            "",
            _row(HEADINGS),
            _row(["---"] * len(HEADINGS)),
            *(_row(figure.cells) for figure in figures),
            "",
            f"![Each figure compared with its goal]({PLOT.relative_to(DOCS)})",
        ]
    )


def _run_description(case: CaseResult) -> str:
    """Describe the run of a case: time, machine and sizes. All cases of a run have the same description."""
    sizes = asdict(case.sizes)
    changed = [
        f"{name} {sizes[name]:,}" for name, default in asdict(Sizes()).items() if sizes[name] != default
    ]
    note = f", **not the default sizes: {', '.join(changed)}**" if changed else ""
    return (
        f"{case.run:%Y-%m-%d %H:%M} UTC, {case.cores} cores, Python {case.python}, "
        f"{case.sizes.rounds} rounds{note}"
    )


def _run(run: str, measured: Mapping[str, CaseResult]) -> str:
    cases = {name: case for name, case in measured.items() if _run_description(case) == run}
    minutes = sum(case.seconds for case in cases.values()) / 60
    return f"- {run}: {', '.join(cases)} ({minutes:.0f} min)"


def _capacity_section(figures: Sequence[Figure]) -> str:
    try:
        needs = resource_needs(figures)
    except LookupError:
        return "Available after every case has been measured."
    return "\n".join(
        [
            _row(["resource", "amount", "basis"]),
            _row(["---"] * 3),
            *(_row([need.resource, need.amount, need.basis]) for need in needs),
            "",
            f"{first_bottleneck(figures)} Prices are those of {PRICES_AS_OF}, from <{PRICES_FROM}>.",
        ]
    )


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
