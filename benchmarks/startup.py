"""The unit of goals for process starts and for the rules: `python -c pass`, measured in the same run.

Seconds judge the machine. A multiple of the cheapest Python process is about the same on each.
"""

import asyncio
import os
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

NAME = "python -c pass"
_COMMAND = (sys.executable, "-c", "pass")
# Without the cache, each process would compile all modules that it imports.
_CACHED = {"PYTHONDONTWRITEBYTECODE": ""}


class RunTime(NamedTuple):
    """The run time of a process, from its start to its end, and its processor time."""

    elapsed: float
    cpu: float


async def run_time_of(command: Sequence[str], settings: Mapping[str, str] | None = None) -> RunTime:
    """Run a process with a bytecode cache. No other child process may end meanwhile."""
    begun, cpu_before = time.perf_counter(), _cpu_of_children()
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env={**os.environ, **_CACHED, **(settings or {})}
    )
    await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}.")
    return RunTime(time.perf_counter() - begun, _cpu_of_children() - cpu_before)


async def empty_run_time() -> RunTime:
    """Return the run time of `python -c pass`."""
    return await run_time_of(_COMMAND)


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
