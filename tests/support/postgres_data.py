"""PostgreSQL data that a test run creates once: `initdb` takes longer than a start of the server."""

import asyncio
import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from dev_stack.postgres_server import PostgresServer


async def create_data(temporary: pytest.TempPathFactory) -> Path:
    """Return the directory of a stopped server, which all processes of a test run share."""
    base = temporary.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    directory = shared / "postgres-data"
    with (shared / "postgres-data.lock").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        if not (directory / "data").exists():
            async with PostgresServer(directory):
                pass
    return directory


def copy_data(created: Path, directory: Path) -> None:
    """Copy the data into the directory of a stack that has not been started yet."""
    directory.mkdir(mode=0o700, exist_ok=True)
    subprocess.run(["cp", "-a", created, directory / "postgres"], check=True)  # keeps the owner of each file
