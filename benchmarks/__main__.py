"""`python -m benchmarks`: what this service costs, beside a plain one on Temporal and one on DBOS."""

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

from benchmarks.cases.cli_startup import commands
from benchmarks.cases.history_size import histories
from benchmarks.cases.idle_workflows import sleepers
from benchmarks.cases.large_tables import rows
from benchmarks.cases.month_end import wave
from benchmarks.cases.request_throughput import requests
from benchmarks.cases.rules_throughput import rules
from benchmarks.environment import Ground, ground
from benchmarks.metrics import HEADINGS, Figure
from benchmarks.report import read, rewrite
from benchmarks.results import Measured, to_json
from benchmarks.workload import SMALLEST, Sizes

Part = Callable[[Ground, Sizes], Awaitable[list[Figure]]]

PARTS: Mapping[str, Part] = {
    "requests": requests,
    "histories": histories,
    "commands": commands,
    "wave": wave,
    "sleepers": sleepers,
    "rows": rows,
}
"""Each on fresh servers. `rules` comes before them, for it needs none and is alone on the machine."""

EVERYTHING = ("rules", *PARTS)

_WIDTH_OF_A_FILE = 200


async def measure(
    names: Collection[str], sizes: Sizes, say: Callable[[str], None], on_fault: Callable[[str], None]
) -> AsyncIterator[tuple[str, Measured]]:
    """Measure these parts, one after the other; report a part that cannot be measured, and leave it out."""
    run = datetime.now(UTC)
    for name in EVERYTHING:
        if name not in names:
            continue
        begun = time.perf_counter()
        try:
            figures = await _figures(name, sizes, say, on_fault)
        except Exception as error:
            on_fault(f"{name} could not be measured: {error!r}")
            continue
        seconds = time.perf_counter() - begun
        say(f"{name}: {seconds:.0f} s.")
        yield name, Measured(run, os.cpu_count() or 1, platform.python_version(), sizes, seconds, figures)


async def _figures(
    name: str, sizes: Sizes, say: Callable[[str], None], on_fault: Callable[[str], None]
) -> list[Figure]:
    if name == "rules":
        say("The rules alone…")
        return rules(sizes)
    with TemporaryDirectory(prefix="worksub-bench-") as directory:
        async with ground(Path(directory), say, on_fault) as fresh:
            return await PARTS[name](fresh, sizes)


def table(measured: Mapping[str, Measured]) -> Table:
    drawn = Table(title="median (least to most)")
    for heading in HEADINGS:
        drawn.add_column(heading)
    for part in measured.values():
        for figure in part.figures:
            drawn.add_row(*(cell.replace("**", "") for cell in figure.cells))
    return drawn


def _size(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if name not in asdict(Sizes()) or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a size and a number, as wave=500.")
    return name, int(number)


async def _run(
    asked: argparse.Namespace, sizes: Sizes, say: Callable[[str], None], on_fault: Callable[[str], None]
) -> dict[str, Measured]:
    measured = {}
    async for name, part in measure(asked.only or EVERYTHING, sizes, say, on_fault):
        measured[name] = part
        if asked.page:  # at once, so that a run that is broken off has not been for nothing
            kept = read() | {name: part}
            rewrite({each: kept[each] for each in EVERYTHING if each in kept})
    return measured


def main() -> int:
    """Return 1 if a part could not be measured or a worker did not stop well."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", choices=EVERYTHING, action="append", metavar="PART", help=", ".join(EVERYTHING)
    )
    parser.add_argument("--rounds", type=int, help="how often each is measured (5)")
    parser.add_argument(
        "--size",
        type=_size,
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="another size than usual: " + ", ".join(f"{name}={n:g}" for name, n in asdict(Sizes()).items()),
    )
    parser.add_argument("--smallest", action="store_true", help="the smallest sizes, to see that all runs")
    parser.add_argument("--json", action="store_true", help="every value of every round, as JSON")
    parser.add_argument(
        "--page",
        action="store_true",
        help="write each part into docs/performance.md and its plot as soon as it is measured",
    )
    asked = parser.parse_args()
    if asked.page and asked.smallest:
        parser.error("--page shows what the usual sizes cost: leave out --smallest")
    sizes = SMALLEST if asked.smallest else Sizes()
    rounds = {"rounds": asked.rounds} if asked.rounds else {}
    sizes = replace(sizes, **rounds, **dict(asked.size))
    say = Console(stderr=True, highlight=False).print
    faults: list[str] = []

    def on_fault(fault: str) -> None:
        faults.append(fault)
        say(fault)

    measured = asyncio.run(_run(asked, sizes, say, on_fault))
    if asked.json:
        print(json.dumps(to_json(measured), indent=2))
    else:
        console = Console()
        (console if console.is_terminal else Console(width=_WIDTH_OF_A_FILE)).print(table(measured))
    # The SDK can abort an interpreter that exits while its threads still hold objects (sdk-python#300).
    gc.collect()
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
