"""`worksub api` as operators run it: in its own process with its own environment."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from support.forked_process import ROOT, PipedProcess, Program, start_forked
from support.polling import PATIENCE_SECONDS
from support.service_env import ServiceEnv


@asynccontextmanager
async def api_process(
    service_env: ServiceEnv, port: int, settings: Mapping[str, str] | None = None, *, forked: bool = True
) -> AsyncIterator[asyncio.subprocess.Process | PipedProcess]:
    """Run `worksub api`: by the fork server, or in a new interpreter for a test of the exit."""
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": service_env.api_url,
        "TEMPORAL_ADDRESS": service_env.temporal.service_client.config.target_host,
        "WORKSUB_API_ADDRESS": f"127.0.0.1:{port}",
        **(settings or {}),
    }
    module, arguments = "entrypoints.cli", ("api", "--json")
    process: asyncio.subprocess.Process | PipedProcess
    if forked:
        process = await start_forked(
            Program(module, arguments, environment, ROOT), stderr=asyncio.subprocess.STDOUT
        )
    else:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while b"Listening at" not in (line := await process.stdout.readline()):
                assert line, "the process ended without listening"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
