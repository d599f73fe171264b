"""Run time of `worksub` commands, from the start to the end of the process."""

import sys
from pathlib import Path

from benchmarks.environment import BenchmarkEnvironment
from benchmarks.metrics import TIMES, Figure
from benchmarks.startup import NAME, empty_run_time, run_time_of
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
        await run_time_of((_WORKSUB, *arguments), settings)
    for _ in range(sizes.rounds):
        await empty_run_time()  # a process that follows a large one is slower, and must not be the unit
        unit = await empty_run_time()
        empty.add(unit.elapsed)
        for command, seconds, times in commands:
            taken = await run_time_of(command, settings)
            seconds.add(taken.elapsed)
            times.add(taken.cpu / unit.cpu)
    return figures
