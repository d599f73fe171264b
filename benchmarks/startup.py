"""The unit of goals for process starts and for the rules: `python -c pass`, measured in the same run.

Seconds judge the machine. A multiple of the cheapest Python process is about the same on each.
"""

import asyncio
import os
import resource
import sys
import time
from collections.abc import Mapping, Sequence

NAME = "python -c pass"
_COMMAND = (sys.executable, "-c", "pass")
# Without the cache, each process would compile all modules that it imports.
_CACHED = {"PYTHONDONTWRITEBYTECODE": ""}


async def seconds_of(command: Sequence[str], settings: Mapping[str, str] | None = None) -> float:
    """Return the run time of a process with a bytecode cache, from its start to its end."""
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env={**os.environ, **_CACHED, **(settings or {})}
    )
    await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}.")
    return time.perf_counter() - begun


async def empty_seconds() -> float:
    """Return the run time of `python -c pass`."""
    return await seconds_of(_COMMAND)


async def empty_cpu_seconds() -> float:
    """Return the processor time of `python -c pass`. No other child process may end meanwhile."""
    before = _cpu_of_children()
    await seconds_of(_COMMAND)
    return _cpu_of_children() - before


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
