"""PostgreSQL connection pools, one database role per process."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

import asyncpg

Role = Literal["worksub_worker", "worksub_reader", "worksub_api", "worksub_admin", "worksub_console"]
Pool = asyncpg.Pool
Connection = asyncpg.pool.PoolConnectionProxy

_FILES = ("sslcert", "sslkey", "sslrootcert")
_CONNECT_SECONDS = 5
_COMMAND_SECONDS = 30
# The server cancels a statement before this process gives up. So a row that another session has locked is an
# error of that row alone, and not of a database that is away.
_STATEMENT_SECONDS = 25
_TIME_LIMITS = {"statement_timeout": f"{_STATEMENT_SECONDS}s", "idle_in_transaction_session_timeout": "5min"}

CONNECT_ERRORS = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)
"""What a database that is away, starting, stopping or too busy answers."""

CONNECTION_ERRORS = (
    *CONNECT_ERRORS,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""What a question ends in whose database goes away in the middle of it, or has another take its place."""

DATABASE_ERRORS = (*CONNECTION_ERRORS, asyncpg.PostgresError)
"""What any question to a database may end in."""


class DatabaseError(Exception):
    """The database cannot be used as it is; the message says what to do."""


def validate_url(url: str) -> None:
    """Raises `DatabaseError` if no database could be found by this URL, whatever runs there."""
    try:
        parts = urlsplit(url)
        # Of several hosts, each may have a port, which asyncpg reads itself.
        ports = "," in parts.netloc or parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        ports = False
    if not ports or parts.scheme not in ("postgresql", "postgres"):
        raise DatabaseError(
            "DATABASE_URL is not a PostgreSQL URL; it must be as in postgresql://worksub@localhost:5432/worksub."
        )
    for name, file in parse_qsl(parts.query):
        if name in _FILES and not os.path.exists(file):
            raise DatabaseError(f"DATABASE_URL has {file} as its {name}, and there is no such file.")


def redacted_location(url: str) -> str:
    """Host, port and database, without the login."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read"
    return (parts.netloc.rpartition("@")[2] or "localhost") + parts.path


@asynccontextmanager
async def create_pool(url: str, role: Role, *, connections: int = 10) -> AsyncIterator[Pool]:
    """A pool on the database at `url`, acting as `role`.

    Raises `DatabaseError` where waiting will not help: a wrong URL, a login that may not, no schema.
    Raises one of `UNREACHABLE` where it may.
    """
    validate_url(url)
    try:
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=connections,
            init=_register_json_codec,
            reset=_skip_reset,
            timeout=_CONNECT_SECONDS,
            command_timeout=_COMMAND_SECONDS,
            server_settings={
                "role": role,
                "application_name": role.replace("_", "-"),
                "timezone": "UTC",
                **_TIME_LIMITS,
            },
        )
    except CONNECT_ERRORS as error:
        if trouble := _tls_error_message(error):
            raise DatabaseError(f"DATABASE_URL asks for TLS, and {trouble}.") from None
        raise
    except asyncpg.InvalidCatalogNameError as error:
        raise DatabaseError(
            f"PostgreSQL says: {error}. Create it and run `worksub setup`, or correct DATABASE_URL."
        ) from None
    except asyncpg.InvalidParameterValueError as error:
        raise DatabaseError(f"The database is not set up yet ({error}): run `worksub setup`.") from None
    except asyncpg.PostgresError as error:
        raise DatabaseError(f"PostgreSQL does not let us in: {error}. Check DATABASE_URL.") from None
    except (ValueError, asyncpg.InterfaceError) as error:
        raise DatabaseError(f"DATABASE_URL is not a PostgreSQL URL: {error}.") from None
    try:
        yield pool
    finally:
        await _close(pool)


def _tls_error_message(error: Exception) -> str | None:
    """What keeps a connection from being made over TLS and will not pass by waiting; no secret is in it."""
    told = str(error)
    match error:
        case ssl.SSLCertVerificationError():
            reason = f"PostgreSQL's certificate does not count, for {error.verify_message.rstrip('.')}"
            return f"{reason}: see sslrootcert, and the host name"
        case ssl.SSLError():
            return f"no connection comes about ({error.reason}): see sslcert, sslkey and sslmode"
    return f"{told}: see sslmode" if "rejected SSL" in told else None


async def _register_json_codec(connection: asyncpg.Connection) -> None:
    """JSON goes in and comes out as text, which pydantic reads and writes itself."""
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=str)


async def _skip_reset(connection: asyncpg.Connection) -> None:
    """Nothing is ever set for longer than a transaction, so there is nothing to ask a server to take back."""


async def _close(pool: Pool) -> None:
    try:
        await asyncio.wait_for(pool.close(), timeout=_CONNECT_SECONDS)
    except (TimeoutError, *CONNECT_ERRORS):
        pool.terminate()
