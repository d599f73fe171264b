"""PostgreSQL connection pools, one database role per process."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

import asyncpg

Role = Literal[
    "worksub_worker", "worksub_reader", "worksub_api", "worksub_admin", "worksub_console", "worksub_exporter"
]
Pool = asyncpg.Pool
Connection = asyncpg.pool.PoolConnectionProxy

_FILES = ("sslcert", "sslkey", "sslrootcert")
_CONNECT_SECONDS = 5
_COMMAND_SECONDS = 30
# The server's statement timeout is shorter than the client's command timeout. A row locked by another session
# is therefore an error of that row (QueryCanceledError), not an outage of the database.
_STATEMENT_SECONDS = 25
_TIME_LIMITS = {"statement_timeout": f"{_STATEMENT_SECONDS}s", "idle_in_transaction_session_timeout": "5min"}

CONNECT_ERRORS = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)
"""Errors raised on connect when the database is unreachable, starting, stopping or out of connections."""

CONNECTION_ERRORS = (
    *CONNECT_ERRORS,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""Errors raised by a query when the connection is lost or the server fails over."""

DATABASE_ERRORS = (*CONNECTION_ERRORS, asyncpg.PostgresError)
"""All errors that a query can raise."""


class DatabaseError(Exception):
    """The database cannot be used until it is changed; the message says what to do."""


def validate_url(url: str) -> None:
    """Raise `DatabaseError` if the URL is invalid. No connection is made."""
    try:
        parts = urlsplit(url)
        # A URL with several hosts may have a port for each host; asyncpg parses these ports.
        ports = "," in parts.netloc or parts.port != 0
    except ValueError:  # an invalid port or IPv6 address
        ports = False
    if not ports or parts.scheme not in ("postgresql", "postgres"):
        raise DatabaseError(
            "DATABASE_URL is not a PostgreSQL URL. Use a form such as postgresql://worksub@localhost:5432/worksub."
        )
    for name, file in parse_qsl(parts.query):
        if name in _FILES and not os.path.exists(file):
            raise DatabaseError(f"DATABASE_URL sets {name} to {file}, which does not exist.")


def redacted_location(url: str) -> str:
    """Return host, port and database of the URL, without the login."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(unreadable URL)"
    return (parts.netloc.rpartition("@")[2] or "localhost") + parts.path


@asynccontextmanager
async def create_pool(url: str, role: Role, *, connections: int = 10) -> AsyncIterator[Pool]:
    """Open a connection pool to the database at `url` with the privileges of `role`.

    Raises `DatabaseError` for permanent errors: an invalid URL, missing privileges, a missing schema.
    Raises one of `CONNECT_ERRORS` if a retry may succeed.
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
        if message := _tls_error_message(error):
            raise DatabaseError(f"TLS connection to PostgreSQL failed: {message}.") from None
        raise
    except asyncpg.InvalidCatalogNameError as error:
        raise DatabaseError(
            f"PostgreSQL reports: {error}. Create it and run `worksub setup`, or correct DATABASE_URL."
        ) from None
    except asyncpg.InvalidParameterValueError as error:
        raise DatabaseError(f"The database is not set up yet ({error}): run `worksub setup`.") from None
    except asyncpg.PostgresError as error:
        raise DatabaseError(f"PostgreSQL refuses the connection: {error}. Check DATABASE_URL.") from None
    except (ValueError, asyncpg.InterfaceError) as error:
        raise DatabaseError(f"DATABASE_URL is not a PostgreSQL URL: {error}.") from None
    try:
        yield pool
    finally:
        await _close(pool)


def _tls_error_message(error: Exception) -> str | None:
    """Return the message for a permanent TLS error, or None for another error. It contains no secret."""
    match error:
        case ssl.SSLCertVerificationError():
            reason = f"the certificate is not trusted ({error.verify_message.rstrip('.')})"
            return f"{reason}: check sslrootcert and the host name in DATABASE_URL"
        case ssl.SSLError():
            return f"{error.reason}: check sslcert, sslkey and sslmode in DATABASE_URL"
    text = str(error)
    return f"{text}: check sslmode in DATABASE_URL" if "rejected SSL" in text else None


async def _register_json_codec(connection: asyncpg.Connection) -> None:
    """Transfer JSON as text, because pydantic parses and serializes it."""
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=str)


async def _skip_reset(connection: asyncpg.Connection) -> None:
    """Skip asyncpg's reset query: no session state outlives a transaction."""


async def _close(pool: Pool) -> None:
    try:
        await asyncio.wait_for(pool.close(), timeout=_CONNECT_SECONDS)
    except (TimeoutError, *CONNECT_ERRORS):
        pool.terminate()
