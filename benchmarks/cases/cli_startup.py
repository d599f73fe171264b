"""Run time of `worksub` commands, from the start to the end of the process."""

import sys
from pathlib import Path

from benchmarks.environment import BenchmarkEnvironment
from benchmarks.metrics import TIMES, Figure
from benchmarks.startup import NAME, empty_seconds, seconds_of
from benchmarks.workload import Sizes
from subscription.ids import WORKFLOW_ID_PREFIX

_WORKSUB = str(Path(sys.executable).with_name("worksub"))


async def cli_startup(env: BenchmarkEnvironment, sizes: Sizes) -> list[Figure]:
    """Measure commands with a warm file cache, alternating with the empty process."""
    env.on_progress("Running commands…")
    async with env.our_worker():
        workflow_id = await env.ours.request()
    settings = {"DATABASE_URL": env.reader_url, "TEMPORAL_ADDRESS": env.temporal_address}
    status = ("status", workflow_id.removeprefix(WORKFLOW_ID_PREFIX))
    empty = Figure(NAME, "s")
    figures = [empty]
    commands = []
    for name, arguments, goal in (("--help", ("--help",), 2), ("status ID", status, 10)):
        seconds = Figure(f"worksub {name}", "s")
        times = Figure(f"worksub {name} against {NAME}", TIMES, goal)
        figures += [seconds, times]
        commands.append(((_WORKSUB, *arguments), seconds, times))
        await seconds_of((_WORKSUB, *arguments), settings)
    await empty_seconds()
    for _ in range(sizes.rounds):
        unit = await empty_seconds()
        empty.add(unit)
        for command, seconds, times in commands:
            taken = await seconds_of(command, settings)
            seconds.add(taken)
            times.add(taken / unit)
    return figures
