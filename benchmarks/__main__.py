"""`python -m benchmarks`: compare worksub with plain implementations on Temporal and on DBOS."""

import argparse
import asyncio
import gc
import json
import os
import platform
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from benchmarks.cases.bulk_run import bulk_run
from benchmarks.cases.cached_workflows import cached_workflows
from benchmarks.cases.cli_startup import cli_startup
from benchmarks.cases.history_size import history_size
from benchmarks.cases.idle_workflows import idle_workflows
from benchmarks.cases.large_tables import large_tables
from benchmarks.cases.month_end import month_end
from benchmarks.cases.nightly_reconciliation import nightly_reconciliation
from benchmarks.cases.poller_autoscaling import poller_autoscaling
from benchmarks.cases.request_throughput import request_throughput
from benchmarks.cases.rules_throughput import rules_throughput
from benchmarks.cases.several_workers import several_workers
from benchmarks.environment import BenchmarkEnvironment, open_environment
from benchmarks.metrics import HEADINGS, Figure
from benchmarks.report import load_results, save_results
from benchmarks.results import CaseResult, to_json
from benchmarks.workload import SMALLEST, Sizes

Case = Callable[[BenchmarkEnvironment, Sizes], Awaitable[list[Figure]]]

CASES: Mapping[str, Case] = {
    "requests": request_throughput,
    "workers": several_workers,
    "pollers": poller_autoscaling,
    "bulk": bulk_run,
    "histories": history_size,
    "commands": cli_startup,
    "wave": month_end,
    "sleepers": idle_workflows,
    "nights": nightly_reconciliation,
    "cached": cached_workflows,
    "rows": large_tables,
}
"""The cases that need servers, each on fresh ones. `rules` needs none and runs first, before any server."""

ALL_CASES = ("rules", *CASES)

_FILE_WIDTH = 200


async def measure(
    names: Collection[str], sizes: Sizes, on_progress: Callable[[str], None], on_fault: Callable[[str], None]
) -> AsyncIterator[tuple[str, CaseResult]]:
    """Measure these cases, one after the other. A case that fails is reported and left out."""
    run = datetime.now(UTC)
    for name in ALL_CASES:
        if name not in names:
            continue
        begun = time.perf_counter()
        try:
            figures = await _figures(name, sizes, on_progress, on_fault)
        except Exception as error:
            on_fault(f"{name} could not be measured: {error!r}")
            continue
        seconds = time.perf_counter() - begun
        on_progress(f"{name}: {seconds:.0f} s.")
        yield name, CaseResult(run, os.cpu_count() or 1, platform.python_version(), sizes, seconds, figures)


async def _figures(
    name: str, sizes: Sizes, on_progress: Callable[[str], None], on_fault: Callable[[str], None]
) -> list[Figure]:
    if name == "rules":
        on_progress("Rules only…")
        return await rules_throughput(sizes)
    with TemporaryDirectory(prefix="worksub-bench-") as directory:
        async with open_environment(Path(directory), on_progress, on_fault) as fresh:
            return await CASES[name](fresh, sizes)


def table(results: Mapping[str, CaseResult]) -> Table:
    rendered = Table(title="median (minimum to maximum)")
    for heading in HEADINGS:
        rendered.add_column(heading)
    for result in results.values():
        for figure in result.figures:
            rendered.add_row(*(cell.replace("**", "") for cell in figure.cells))
    return rendered


def _size(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if name not in asdict(Sizes()) or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a size and a number, such as wave=500.")
    return name, int(number)


async def _run(
    options: argparse.Namespace,
    sizes: Sizes,
    on_progress: Callable[[str], None],
    on_fault: Callable[[str], None],
) -> dict[str, CaseResult]:
    results = {}
    async for name, result in measure(options.only or ALL_CASES, sizes, on_progress, on_fault):
        results[name] = result
        if options.page:  # Saved after each case, so that an interrupted run loses only the current case.
            saved = load_results() | {name: result}
            save_results({case: saved[case] for case in ALL_CASES if case in saved})
    return results


def main() -> int:
    """Return 1 if a case failed or a worker did not stop cleanly."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", choices=ALL_CASES, action="append", metavar="CASE", help=", ".join(ALL_CASES)
    )
    parser.add_argument("--rounds", type=int, help="number of rounds of each case (5)")
    parser.add_argument(
        "--size",
        type=_size,
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="override a default size: " + ", ".join(f"{name}={n:g}" for name, n in asdict(Sizes()).items()),
    )
    parser.add_argument("--smallest", action="store_true", help="smallest sizes, as a smoke test")
    parser.add_argument("--json", action="store_true", help="print every value of every round as JSON")
    parser.add_argument(
        "--page",
        action="store_true",
        help="write each result to docs/performance.md and its chart as soon as it is measured",
    )
    options = parser.parse_args()
    if options.page and options.smallest:
        parser.error("--page needs the default sizes: remove --smallest")
    sizes = SMALLEST if options.smallest else Sizes()
    rounds = {"rounds": options.rounds} if options.rounds else {}
    sizes = replace(sizes, **rounds, **dict(options.size))
    on_progress = Console(stderr=True, highlight=False).print
    faults: list[str] = []

    def on_fault(fault: str) -> None:
        faults.append(fault)
        on_progress(fault)

    results = asyncio.run(_run(options, sizes, on_progress, on_fault))
    if options.json:
        print(json.dumps(to_json(results), indent=2))
    else:
        console = Console()
        (console if console.is_terminal else Console(width=_FILE_WIDTH)).print(table(results))
    # The SDK can abort an interpreter that exits while its threads still hold objects (sdk-python#300).
    gc.collect()
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
