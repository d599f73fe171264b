"""Migrations: plain SQL files, applied in order, once, whoever else tries at the same time."""

import hashlib
from dataclasses import dataclass
from importlib import resources

import asyncpg

from activities.database import UNREACHABLE, DatabaseError, check_url

_LOCK = 0x776F726B  # any number that nothing else in this database locks
_BOOKKEEPING = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name       text        PRIMARY KEY,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)"""


@dataclass(frozen=True)
class Migration:
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Every migration that this release knows, in order."""
    files = (
        entry for entry in resources.files("activities.migrations").iterdir() if entry.name.endswith(".sql")
    )
    return [Migration(file.name, file.read_text()) for file in sorted(files, key=lambda file: file.name)]


async def migrate(url: str) -> list[str]:
    """Bring the database at `url` up to date and return what was applied.

    Raises `DatabaseError` if a migration that was applied has been changed since.
    """
    check_url(url)
    try:
        connection = await asyncpg.connect(url)
    except UNREACHABLE:
        raise
    except (asyncpg.PostgresError, ValueError, asyncpg.InterfaceError) as error:
        raise DatabaseError(f"The database cannot be set up: {error}. Check the URL and its login.") from None
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            return await _apply_missing(connection)
    finally:
        await connection.close()


async def _apply_missing(connection: asyncpg.Connection) -> list[str]:
    await connection.execute(_BOOKKEEPING)
    applied = {
        row["name"]: row["checksum"]
        for row in await connection.fetch("SELECT name, checksum FROM schema_migrations")
    }
    names = []
    for migration in migrations():
        if migration.name not in applied:
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)",
                migration.name,
                migration.checksum,
            )
            names.append(migration.name)
        elif applied[migration.name] != migration.checksum:
            raise DatabaseError(
                f"{migration.name} has changed since it was applied; add a new migration instead."
            )
    return names
