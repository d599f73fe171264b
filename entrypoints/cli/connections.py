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
"""Where `worksub dev` keeps its data, and where the other commands look for it."""

PROFILE_FILE = "temporal.toml"
"""The Temporal profile of `worksub dev`, in its directory."""

_NAMES_OF_TEMPORAL = ("TEMPORAL_ADDRESS", "TEMPORAL_CONFIG_FILE", "TEMPORAL_PROFILE")
_ADVICE = "Start the service (`worksub dev` runs all of it here), or check {setting}."


@dataclass(frozen=True)
class DatabaseTarget:
    """The database alone: all that is needed to read."""

    database_url: str

    @property
    def database_address(self) -> str:
        """Without the login."""
        from adapters.postgres.pool import redacted_location

        return redacted_location(self.database_url)

    def in_words(self, error: Exception) -> Exception:
        """What a server's failure means to a person; what is none is given back as it is."""
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
                f"PostgreSQL at {self.database_address} cannot be used as it is: {error}.",
                advice="Bring it up to date with `worksub setup`.",
            )
        return error


@dataclass(frozen=True)
class ServiceTargets(DatabaseTarget):
    """Both servers. Temporal is connected to when it is first asked."""

    temporal: "Client"
    owner_url: str
    """For setting up: in production, whoever does that has DATABASE_URL say so."""

    @property
    def temporal_address(self) -> str:
        return self.temporal.service_client.config.target_host

    def in_words(self, error: Exception) -> Exception:
        from temporalio.client import RPCTimeoutOrCancelledError
        from temporalio.service import RPCError

        from adapters.postgres.catalogue_repository import PublishingError
        from adapters.temporal.encrypted_payload import UnknownKeyError
        from starter.commands import WorkflowMissingError
        from starter.subscription_clock import ClockNotSupportedError

        match error:
            case UnknownKeyError():
                return unavailable("KEY_UNKNOWN", str(error))
            case ClockNotSupportedError():
                return CommandError(ExitCode.REFUSED, "NO_TEST_CLOCK", str(error))
            case WorkflowMissingError():
                return unavailable(
                    "WORKFLOW_LOST",
                    str(error),
                    advice="Check TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE. If they are right, "
                    "`worksub schedules trigger reconcile` starts it anew from the record.",
                )
            case RPCError():
                return self._temporal_refuses(error)
            case RPCTimeoutOrCancelledError():
                return self._temporal_is_away("it went away in the middle")
            case RuntimeError() if "client connect" in str(error):  # how the SDK says that nobody answers
                return self._temporal_is_away(str(error))
            case ValueError() if "target URL" in str(error):
                return unavailable("TEMPORAL_SETTINGS", f"TEMPORAL_ADDRESS is not an address: {error}.")
            case PublishingError():
                return refusal(error.refused)
        return super().in_words(error)

    def _temporal_is_away(self, told: str) -> CommandError:
        from adapters.temporal.client import connection_error_message, root_cause

        reason = connection_error_message(told) or f"does not answer: {root_cause(told)}"
        return unavailable(
            "TEMPORAL_UNREACHABLE",
            f"Temporal at {self.temporal_address} {reason}.",
            advice=_ADVICE.format(setting="TEMPORAL_ADDRESS"),
        )

    def _temporal_refuses(self, error: "RPCError") -> CommandError:
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
                advice="`temporal workflow unpause --workflow-id subscription-ID` ends the pause.",
            )
        if outcome is Outcome.RETRY:  # and it has been tried again
            return unavailable(
                "WORKFLOW_STUCK",
                f"The subscription's workflow cannot go on: {error.message}",
                advice="A worker of another release may be at work: docs/operations.md says what to do.",
            )
        if error.status is RPCStatusCode.UNAVAILABLE or "transport error" in error.message:
            return self._temporal_is_away(error.message)
        return unavailable(
            "TEMPORAL_NOT_USABLE",
            f"Temporal at {self.temporal_address} answers {error.status.name}: {error.message}",
            advice=_ADVICE.format(setting="TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE"),
        )


def find_record() -> DatabaseTarget:
    """Return where the record is, without connecting to it.

    Raises `CommandError` if neither the environment nor `worksub dev` says so, or one says half of it.
    """
    if addresses := dev_stack():
        return DatabaseTarget(addresses.people_url)
    if database_url := os.environ.get("DATABASE_URL"):
        return DatabaseTarget(database_url)
    if names := _naming_temporal():
        raise unavailable(
            "NOT_CONFIGURED",
            f"{names[0]} is set and DATABASE_URL is not: both say where the service is.",
            advice=f"Set DATABASE_URL as well, or unset {names[0]} where `worksub dev` runs.",
        )
    raise unavailable(
        "NOT_CONFIGURED",
        "No service is known: DATABASE_URL is not set, and `worksub dev` does not run in this directory.",
        advice="Start everything here with `worksub dev`, or set DATABASE_URL and TEMPORAL_ADDRESS.",
    )


async def find_services() -> ServiceTargets:
    """As `find_record`, with Temporal."""
    from adapters.temporal.client import ConnectionSettingsError, connect, tracing

    record = find_record()
    try:
        if addresses := dev_stack():
            client = await client_of(addresses, tracing("worksub"))
            return ServiceTargets(record.database_url, client, addresses.database_url)
        return ServiceTargets(record.database_url, await connect(lazy=True), record.database_url)
    except ConnectionSettingsError as error:
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
    others_temporal = [name for name in _naming_temporal() if not _is_of(addresses, name)]
    if not os.environ.get("DATABASE_URL") or _is_of(addresses, "DATABASE_URL"):
        if not others_temporal:
            return addresses
        named, missing, server = others_temporal[0], "DATABASE_URL", "Temporal"
    elif others_temporal:
        return None
    else:
        named, missing, server = "DATABASE_URL", "TEMPORAL_ADDRESS", "PostgreSQL"
    raise CommandError(
        ExitCode.USAGE,
        "MIXED_SERVICES",
        f"{named} names another {server} than that of `worksub dev`, which runs in this directory, and "
        f"{missing} does not name another one.",
        field=named,
        advice=f"Unset {named} to use `worksub dev`, or set {missing} to use the other service.",
    )


def _naming_temporal() -> list[str]:
    """Return the variables by which the environment says where Temporal is."""
    return [name for name in _NAMES_OF_TEMPORAL if os.environ.get(name)]


def _is_of(addresses: "StackAddresses", name: str) -> bool:
    """Whether a variable has the value that leads to this stack."""
    value = os.environ[name]
    match name:
        case "DATABASE_URL":
            return value in (addresses.database_url, addresses.people_url, addresses.web_url)
        case "TEMPORAL_ADDRESS":
            return value.replace("localhost", "127.0.0.1") == addresses.temporal_address
        case "TEMPORAL_CONFIG_FILE":
            return Path(value).resolve() == (DEV_DIRECTORY / PROFILE_FILE).resolve()
    return False


async def client_of(addresses: "StackAddresses", interceptors: "Sequence[Interceptor]" = ()) -> "Client":
    """A client of an embedded stack, whatever Temporal settings this user has for other servers."""
    from temporalio.client import Client

    from adapters.temporal.data_converter import data_converter

    return await Client.connect(
        addresses.temporal_address,
        namespace=addresses.namespace,
        data_converter=data_converter(),
        interceptors=interceptors,
        lazy=True,
    )
