"""Addresses of PostgreSQL and Temporal, and translation of their errors."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from entrypoints.cli.errors import CommandError, ExitCode, refusal, unavailable

if TYPE_CHECKING:
    from temporalio.client import Client, Interceptor
    from temporalio.service import RPCError

    from dev_stack.addresses import StackAddresses

DEV_DIRECTORY = Path(".worksub")
"""Data directory of `worksub dev`. The other commands read the addresses of its servers here."""

PROFILE_FILE = "temporal.toml"
"""The Temporal profile of `worksub dev`, in its directory."""

_TEMPORAL_VARIABLES = ("TEMPORAL_ADDRESS", "TEMPORAL_CONFIG_FILE", "TEMPORAL_PROFILE")
_ADVICE = "Start the service, for example with `worksub dev`, or check {setting}."


@dataclass(frozen=True)
class DatabaseTarget:
    """Address of the database, which is enough for read-only commands."""

    database_url: str

    @property
    def database_address(self) -> str:
        """Return the host, port and database without the login."""
        from adapters.postgres.pool import redacted_location

        return redacted_location(self.database_url)

    def to_command_error(self, error: Exception) -> Exception:
        """Return a server's failure as a `CommandError`; return any other error unchanged."""
        import asyncpg

        from adapters.postgres.pool import CONNECT_ERRORS, DatabaseError

        if isinstance(error, CONNECT_ERRORS):
            reason = str(error) or type(error).__name__
            return unavailable(
                "DATABASE_UNREACHABLE",
                f"PostgreSQL at {self.database_address} does not answer: {reason}.",
                advice=_ADVICE.format(setting="DATABASE_URL"),
            )
        if isinstance(error, DatabaseError):
            return unavailable("DATABASE_NOT_USABLE", str(error))
        if isinstance(error, asyncpg.PostgresError):
            return unavailable(
                "DATABASE_NOT_USABLE",
                f"PostgreSQL at {self.database_address} cannot be used: {error}.",
                advice="Apply the migrations with `worksub setup`.",
            )
        return error


@dataclass(frozen=True)
class ServiceTargets(DatabaseTarget):
    """Addresses of both servers. The Temporal client connects at its first call."""

    temporal: "Client"
    owner_url: str
    """Login for `worksub setup`. In production, set DATABASE_URL to the owner's login for this command."""

    @property
    def temporal_address(self) -> str:
        return self.temporal.service_client.config.target_host

    def to_command_error(self, error: Exception) -> Exception:
        from temporalio.client import RPCTimeoutOrCancelledError
        from temporalio.service import RPCError

        from adapters.command_sender import WorkflowMissingError
        from adapters.postgres.catalogue_repository import PublishingError
        from adapters.temporal.encrypted_payload import UnknownKeyError
        from starter.subscription_clock import ClockNotSupportedError

        match error:
            case UnknownKeyError():
                return unavailable("KEY_UNKNOWN", str(error))
            case ClockNotSupportedError():
                return CommandError(ExitCode.REFUSED, "NO_TEST_CLOCK", str(error))
            case WorkflowMissingError():
                return unavailable(
                    "WORKFLOW_UNAVAILABLE",
                    str(error),
                    advice="Check TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE. If they are right, "
                    "`worksub schedules trigger reconcile` restarts the workflow from the database.",
                )
            case RPCError():
                return self._rpc_error(error)
            case RPCTimeoutOrCancelledError():
                return self._temporal_unavailable("the connection was lost during the call")
            case RuntimeError() if "client connect" in str(error):  # the SDK's error if the connection fails
                return self._temporal_unavailable(str(error))
            case ValueError() if "target URL" in str(error):
                return unavailable("TEMPORAL_SETTINGS", f"TEMPORAL_ADDRESS is invalid: {error}.")
            case PublishingError():
                return refusal(error.refused)
        return super().to_command_error(error)

    def _temporal_unavailable(self, message: str) -> CommandError:
        from adapters.temporal.client import connection_error_message, root_cause

        reason = connection_error_message(message) or f"does not answer: {root_cause(message)}"
        return unavailable(
            "TEMPORAL_UNREACHABLE",
            f"Temporal at {self.temporal_address} {reason}.",
            advice=_ADVICE.format(setting="TEMPORAL_ADDRESS"),
        )

    def _rpc_error(self, error: "RPCError") -> CommandError:
        from temporalio.service import RPCStatusCode

        from adapters.temporal.rpc_errors import Outcome, is_paused, outcome_of
        from subscription.refusals import Refusal, RefusalCode

        outcome = outcome_of(error)
        if error.status is RPCStatusCode.NOT_FOUND and outcome is Outcome.REFUSED:
            return refusal(Refusal.of(RefusalCode.SUBSCRIPTION_NOT_FOUND, "subscription_id"))
        if is_paused(error):
            return unavailable(
                "WORKFLOW_PAUSED",
                f"An operator has paused the subscription in Temporal: {error.message}",
                advice="To resume it: `temporal workflow unpause --workflow-id subscription-ID`.",
            )
        if outcome is Outcome.RETRY:  # after the client's own retries
            return unavailable(
                "WORKFLOW_STUCK",
                f"The subscription's workflow cannot make progress: {error.message}",
                advice='A worker may run an incompatible release: see "A worker does not replay" in '
                "docs/operations.md.",
            )
        if error.status is RPCStatusCode.UNAVAILABLE or "transport error" in error.message:
            return self._temporal_unavailable(error.message)
        return unavailable(
            "TEMPORAL_NOT_USABLE",
            f"Temporal at {self.temporal_address} returned {error.status.name}: {error.message}",
            advice=_ADVICE.format(setting="TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE"),
        )


def find_database() -> DatabaseTarget:
    """Return the address of the database without connecting to it.

    Raises `CommandError` if neither the environment nor `worksub dev` provides it, or if the environment
    names Temporal only.
    """
    if addresses := dev_stack():
        return DatabaseTarget(addresses.reader_url)
    if database_url := os.environ.get("DATABASE_URL"):
        return DatabaseTarget(database_url)
    if names := _temporal_variables():
        raise unavailable(
            "NOT_CONFIGURED",
            f"{names[0]} is set, but DATABASE_URL is not. Both are required.",
            advice=f"Set DATABASE_URL as well, or unset {names[0]} in the directory of `worksub dev`.",
        )
    raise unavailable(
        "NOT_CONFIGURED",
        "No service is configured: DATABASE_URL is not set and `worksub dev` does not run in this directory.",
        advice="Start a local service with `worksub dev`, or set DATABASE_URL and TEMPORAL_ADDRESS.",
    )


async def find_services() -> ServiceTargets:
    """Return the addresses of both servers, with a lazy Temporal client.

    Raises `CommandError` as `find_database` does, or if Temporal's settings are invalid.
    """
    from adapters.settings_error import SettingsError
    from adapters.temporal.client import connect, tracing
    from adapters.temporal.encryption_keys import keyring_from

    database = find_database()
    keyring = keyring_from(os.environ)
    try:
        if addresses := dev_stack():
            client = await dev_client(addresses, tracing("worksub"))
            return ServiceTargets(database.database_url, client, addresses.database_url)
        client = await connect(keyring, lazy=True)
        return ServiceTargets(database.database_url, client, database.database_url)
    except SettingsError as error:
        raise unavailable("TEMPORAL_SETTINGS", str(error)) from None


def dev_stack() -> "StackAddresses | None":
    """Return the stack of `worksub dev` in this directory, unless the environment names another service.

    Raises `CommandError` if the environment names one server of another service: the command would take
    Temporal from one service and PostgreSQL from the other.
    """
    if not DEV_DIRECTORY.is_dir():
        return None
    from dev_stack.addresses import find_stack

    addresses = find_stack(DEV_DIRECTORY)
    if addresses is None:
        return None
    other_temporal = [name for name in _temporal_variables() if not _points_to(addresses, name)]
    if not os.environ.get("DATABASE_URL") or _points_to(addresses, "DATABASE_URL"):
        if not other_temporal:
            return addresses
        named, missing, server = other_temporal[0], "DATABASE_URL", "Temporal"
    elif other_temporal:
        return None
    else:
        named, missing, server = "DATABASE_URL", "TEMPORAL_ADDRESS", "PostgreSQL"
    raise CommandError(
        ExitCode.USAGE,
        "MIXED_SERVICES",
        f"{named} names a {server} server outside `worksub dev`, which runs in this directory, but "
        f"{missing} does not.",
        field=named,
        advice=f"Unset {named} to use `worksub dev`, or set {missing} to use the other service.",
    )


def _temporal_variables() -> list[str]:
    """Return the environment variables that are set and locate Temporal."""
    return [name for name in _TEMPORAL_VARIABLES if os.environ.get(name)]


def _points_to(addresses: "StackAddresses", name: str) -> bool:
    """Return whether an environment variable has the address of this stack."""
    value = os.environ[name]
    match name:
        case "DATABASE_URL":
            return value in (addresses.database_url, addresses.reader_url, addresses.api_url)
        case "TEMPORAL_ADDRESS":
            return value.replace("localhost", "127.0.0.1") == addresses.temporal_address
        case "TEMPORAL_CONFIG_FILE":
            return Path(value).resolve() == (DEV_DIRECTORY / PROFILE_FILE).resolve()
    return False


async def dev_client(addresses: "StackAddresses", interceptors: "Sequence[Interceptor]" = ()) -> "Client":
    """Return a client of an embedded stack that ignores the user's Temporal settings for other servers."""
    from temporalio.client import Client

    from adapters.temporal.data_converter import data_converter

    return await Client.connect(
        addresses.temporal_address,
        namespace=addresses.namespace,
        data_converter=data_converter(),
        interceptors=interceptors,
        lazy=True,
    )
