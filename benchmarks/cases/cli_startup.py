"""Run time of `worksub` commands, from the start to the end of the process."""

import asyncio
import os
import sys
import time
from pathlib import Path

from benchmarks.environment import BenchmarkEnvironment
from benchmarks.metrics import Figure
from benchmarks.workload import Sizes
from subscription.ids import WORKFLOW_ID_PREFIX

_WORKSUB = Path(sys.executable).with_name("worksub")


async def cli_startup(env: BenchmarkEnvironment, sizes: Sizes) -> list[Figure]:
    """Measure commands with a warm file cache: each command runs once before it is measured."""
    usage, status = Figure("worksub --help", "s", 0.15), Figure("worksub status ID", "s", 0.4)
    env.on_progress("Running commands…")
    async with env.our_worker():
        workflow_id = await env.ours.request()
    subscription_id = workflow_id.removeprefix(WORKFLOW_ID_PREFIX)
    settings = {"DATABASE_URL": env.reader_url, "TEMPORAL_ADDRESS": env.temporal_address}
    for figure, arguments in ((usage, ["--help"]), (status, ["status", subscription_id])):
        await _seconds(arguments, settings)
        for _ in range(sizes.rounds):
            figure.add(await _seconds(arguments, settings))
    return [usage, status]


async def _seconds(arguments: list[str], settings: dict[str, str]) -> float:
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        _WORKSUB, *arguments, stdout=asyncio.subprocess.PIPE, env={**os.environ, **settings}
    )
    await process.communicate()
    if process.returncode:
        raise RuntimeError(f"worksub {' '.join(arguments)} ended with exit code {process.returncode}.")
    return time.perf_counter() - begun
