"""`python -m benchmarks.bench`: what this service costs, beside a plain one on Temporal and one on DBOS."""

import argparse
import asyncio
import gc
import json
import os
import platform
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figures import HEADINGS, Figure
from benchmarks.ground import Ground, ground
from benchmarks.page import rewrite
from benchmarks.parts.commands import commands
from benchmarks.parts.histories import histories
from benchmarks.parts.requests import requests
from benchmarks.parts.rows import rows
from benchmarks.parts.rules import rules
from benchmarks.parts.sleepers import sleepers
from benchmarks.parts.wave import wave
from benchmarks.sizes import SMALLEST, Sizes

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


@dataclass(frozen=True)
class Measured:
    """All lines of a run, in the order of the table, and on what they were measured."""

    on: datetime
    cores: int
    python: str
    sizes: Sizes
    seconds: Mapping[str, float]
    """Of each part."""
    figures: Sequence[Figure]

    def to_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "on": self.on.isoformat(timespec="minutes"),
            "figures": [
                {**asdict(figure), "ratios": figure.ratios, "reached": figure.reached}
                for figure in self.figures
            ],
        }


async def measure(names: Sequence[str], sizes: Sizes, say: Callable[[str], None]) -> Measured:
    """These parts, one after the other."""
    figures, seconds = [], {}
    if "rules" in names:
        say("The rules alone…")
        begun = time.perf_counter()
        figures += rules(sizes)
        seconds["rules"] = time.perf_counter() - begun
    for name, part in PARTS.items():
        if name not in names:
            continue
        begun = time.perf_counter()
        try:
            with TemporaryDirectory(prefix="worksub-bench-") as directory:
                async with ground(Path(directory), say) as fresh:
                    figures += await part(fresh, sizes)
        except Exception as error:
            say(f"{name} could not be measured: {error!r}")
            continue
        seconds[name] = time.perf_counter() - begun
        say(f"{name}: {seconds[name]:.0f} s.")
    return Measured(
        on=datetime.now(UTC),
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        sizes=sizes,
        seconds=seconds,
        figures=figures,
    )


def table(measured: Measured) -> Table:
    drawn = Table(title=f"{measured.sizes.rounds} rounds on {measured.cores} cores; median (least to most)")
    for heading in HEADINGS:
        drawn.add_column(heading)
    for figure in measured.figures:
        drawn.add_row(*(cell.replace("**", "") for cell in figure.cells))
    return drawn


def _size(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if name not in asdict(Sizes()) or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a size and a number, as wave=500.")
    return name, int(number)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    everything = ["rules", *PARTS]
    parser.add_argument(
        "--only", choices=everything, action="append", metavar="PART", help=", ".join(everything)
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
        "--page", action="store_true", help="write all into docs/performance.md, with its plot"
    )
    asked = parser.parse_args()
    if asked.page and (asked.only or asked.smallest):
        parser.error("--page needs all parts in their full size: leave out --only and --smallest")
    sizes = SMALLEST if asked.smallest else Sizes()
    rounds = {"rounds": asked.rounds} if asked.rounds else {}
    sizes = replace(sizes, **rounds, **dict(asked.size))
    progress = Console(stderr=True, highlight=False)
    measured = asyncio.run(measure(asked.only or everything, sizes, progress.print))
    if asked.page and measured.seconds.keys() != set(everything):
        progress.print("docs/performance.md stays as it was.")
    elif asked.page:
        rewrite(measured.to_json())
    if asked.json:
        print(json.dumps(measured.to_json(), indent=2))
    else:
        Console().print(table(measured))
    # The SDK can abort an interpreter that exits while its threads still hold objects (sdk-python#300).
    gc.collect()


if __name__ == "__main__":
    main()
