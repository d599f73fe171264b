"""Migrations: plain SQL files, applied in order under a table lock."""

import hashlib
from dataclasses import dataclass
from importlib import resources

import asyncpg

from adapters.postgres.pool import CONNECT_ERRORS, DatabaseError, validate_url

_LOCK_SECONDS = 30
_CREATE_MIGRATIONS_TABLE = """
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
    """Return all migrations of this release, in order."""
    files = (
        entry
        for entry in resources.files("adapters.postgres.migrations").iterdir()
        if entry.name.endswith(".sql")
    )
    return [Migration(file.name, file.read_text()) for file in sorted(files, key=lambda file: file.name)]


async def migrate(url: str, *, lock_seconds: float = _LOCK_SECONDS) -> list[str]:
    """Apply the missing migrations to the database at `url` and return their names.

    Raises `DatabaseError` if an applied migration has changed since, or if other sessions hold a required
    lock for longer than `lock_seconds`.
    """
    validate_url(url)
    try:
        connection = await asyncpg.connect(
            url, server_settings={"lock_timeout": f"{round(lock_seconds * 1000)}ms"}
        )
    except CONNECT_ERRORS:
        raise
    except (asyncpg.PostgresError, ValueError, asyncpg.InterfaceError) as error:
        raise DatabaseError(f"The database cannot be set up: {error}. Check the URL and its login.") from None
    try:
        await _ensure_bookkeeping(connection)
        async with connection.transaction():
            # Serializes concurrent migrations. Unlike an advisory lock, which every login could hold, this
            # lock requires the privilege to change the table.
            await connection.execute("LOCK TABLE schema_migrations IN SHARE ROW EXCLUSIVE MODE")
            return await _apply_missing(connection)
    except asyncpg.LockNotAvailableError:
        raise DatabaseError(
            f"The database is in use: {await _holders(connection)} has locked a required table for more than "
            f"{lock_seconds:g} s. End that session and run `worksub setup` again; nothing was changed."
        ) from None
    finally:
        await connection.close()


async def _ensure_bookkeeping(connection: asyncpg.Connection) -> None:
    """Create the table of applied migrations.

    `CREATE TABLE IF NOT EXISTS` can raise an error if another session creates the same table concurrently.
    """
    try:
        await connection.execute(_CREATE_MIGRATIONS_TABLE)
    except (asyncpg.UniqueViolationError, asyncpg.DuplicateTableError, asyncpg.DuplicateObjectError):
        await connection.execute(_CREATE_MIGRATIONS_TABLE)


async def _holders(connection: asyncpg.Connection) -> str:
    """Return the names of the sessions that hold table locks in this database now."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT usename, pid FROM pg_locks JOIN pg_stat_activity USING (pid)
         WHERE locktype = 'relation' AND granted AND pid <> pg_backend_pid()
           AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
         ORDER BY pid LIMIT 5
        """
    )
    return ", ".join(f"{row['usename']} (process {row['pid']})" for row in rows) or "a session"


async def _apply_missing(connection: asyncpg.Connection) -> list[str]:
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
