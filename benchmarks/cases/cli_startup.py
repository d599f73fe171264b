"""`worksub` as a person waits for it, from the process's start to its end."""

import asyncio
import os
import sys
import time
from pathlib import Path

from benchmarks.environment import Ground
from benchmarks.metrics import Figure
from benchmarks.workload import Sizes
from subscription.ids import WORKFLOW_ID_PREFIX

_WORKSUB = Path(sys.executable).with_name("worksub")


async def commands(ground: Ground, sizes: Sizes) -> list[Figure]:
    """The files are warm: each command is run once before it is measured."""
    helped, status = Figure("worksub --help", "s", 0.15), Figure("worksub status ID", "s", 0.4)
    ground.say("Running commands…")
    async with ground.our_worker():
        workflow_id = await ground.ours.request()
    subscription_id = workflow_id.removeprefix(WORKFLOW_ID_PREFIX)
    settings = {"DATABASE_URL": ground.people_url, "TEMPORAL_ADDRESS": ground.temporal_address}
    for figure, words in ((helped, ["--help"]), (status, ["status", subscription_id])):
        await _seconds(words, settings)
        for _ in range(sizes.rounds):
            figure.add(await _seconds(words, settings))
    return [helped, status]


async def _seconds(words: list[str], settings: dict[str, str]) -> float:
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        _WORKSUB, *words, stdout=asyncio.subprocess.PIPE, env={**os.environ, **settings}
    )
    await process.communicate()
    if process.returncode:
        raise RuntimeError(f"worksub {' '.join(words)} ended with {process.returncode}.")
    return time.perf_counter() - begun
