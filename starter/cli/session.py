"""One command's connection to the service: where it is, how long it may take, and what its silence means."""

import asyncio
import contextlib
import gc
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar
from urllib.parse import urlsplit

from starter.cli.embedded import embedded_errors_reported
from starter.cli.errors import CommandError, ExitCode, refusals_reported, unavailable
from starter.cli.options import DEFAULT_TIMEOUT
from starter.cli.output import say

if TYPE_CHECKING:
    from temporalio.client import Client
    from temporalio.service import RPCError

    from activities.database import Pool
    from starter.client import SubscriptionClient
    from starter.embedded.stack import StackAddresses

DEV_DIRECTORY = Path(".worksub")
"""Where `worksub dev` keeps its data, and where the other commands look for it."""

_CONNECT_SECONDS = 10.0
_SILENCE_SECONDS = 2.0

T = TypeVar("T")


class Session:
    """`with Session() as session: session.ask(lambda client: client.status(id))`.

    Whatever goes wrong leaves it as a `CommandError`. Between two questions the caller may talk to a
    person, which would not do inside an event loop.
    """

    def __init__(self, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._timeout = timeout
        self._runner = asyncio.Runner()
        self._resources = contextlib.AsyncExitStack()
        self._client: SubscriptionClient | None = None
        self._temporal_address = ""
        self._database_address = ""
        self._last_sign_of_life = 0.0

    def __enter__(self) -> Self:
        # The SDK leaves futures behind when a call is given up, and the loop would print each with a traceback.
        self._runner.get_loop().set_exception_handler(lambda loop, context: None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._runner.run(self._resources.aclose())
        finally:
            self._runner.close()
            self._client = None
            # The SDK can abort an interpreter that exits while its threads still hold objects (sdk-python#300).
            gc.collect()

    def ask(self, question: "Callable[[SubscriptionClient], Awaitable[T]]") -> T:
        """What the service answers; it is waited for as long as there are signs of life."""
        return self._runner.run(self._ask(question))

    def sign_of_life(self) -> None:
        """To be called during a long question: the service is at work, so the patience begins anew."""
        self._last_sign_of_life = self._runner.get_loop().time()

    async def _ask(self, question: "Callable[[SubscriptionClient], Awaitable[T]]") -> T:
        with refusals_reported():
            try:
                if self._client is None:
                    self._client = await self._connect()
                return await self._patiently(question(self._client))
            except CommandError:
                raise
            except Exception as error:
                raise self._in_words(error) from error

    # -- connecting ----------------------------------------------------------------------------------

    async def _connect(self) -> "SubscriptionClient":
        from starter.client import SubscriptionClient

        # PostgreSQL alone answers what people read, so Temporal is only connected to when it is asked.
        temporal, database_url = await self._services()
        return SubscriptionClient(temporal, await self._pool(database_url))

    async def _services(self) -> "tuple[Client, str]":
        from workflows.connection import ConnectionSettingsError, connect

        if addresses := dev_stack():
            temporal = await client_of(addresses)
            database_url = addresses.database_url
        else:
            database_url = database_url_from_environment()
            try:
                temporal = await connect(lazy=True)
            except (ConnectionSettingsError, ValueError) as error:
                raise unavailable("TEMPORAL_SETTINGS", str(error)) from None
        self._temporal_address = temporal.service_client.config.target_host
        self._database_address = without_password(database_url)
        return temporal, database_url

    async def _pool(self, url: str) -> "Pool":
        from activities.database import UNREACHABLE, DatabaseError, connected

        try:
            return await self._resources.enter_async_context(
                connected(url, "worksub_reader", connections=2)
            )
        except DatabaseError as error:
            raise unavailable("DATABASE_NOT_USABLE", str(error)) from None
        except UNREACHABLE as error:
            raise self._database_unreachable(error) from error

    # -- waiting -------------------------------------------------------------------------------------

    async def _patiently(self, answer: Awaitable[T]) -> T:
        self.sign_of_life()
        asked_at = self._last_sign_of_life
        task = asyncio.ensure_future(answer)
        said = False
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=min(0.2, self._timeout))
                now = asyncio.get_running_loop().time()
                if not task.done() and now - self._last_sign_of_life > self._timeout:
                    raise self._no_answer()
                if not task.done() and not said and now - self._last_sign_of_life > _SILENCE_SECONDS:
                    said = True
                    say(f"Waiting for a worker to answer, {self._timeout:g} s at most…")
            return task.result()
        finally:
            task.cancel()

    def _no_answer(self) -> CommandError:
        return unavailable(
            "NO_ANSWER",
            f"No worker has answered within {self._timeout:g} s. The command may still be carried out, "
            "as soon as one works again.",
            advice="Start one with `worksub worker` (`worksub doctor` says whether one works); then look at "
            "`worksub status ID`, or send the same command again with the same --id.",
        )

    # -- what went wrong -----------------------------------------------------------------------------

    def _in_words(self, error: Exception) -> Exception:
        import asyncpg
        from starter.test_clock import TestClockUnavailable
        from temporalio.client import WorkflowUpdateRPCTimeoutOrCancelledError
        from temporalio.service import RPCError

        from activities.database import UNREACHABLE

        if isinstance(error, RPCError):
            return self._temporal_refuses(error)
        if isinstance(error, RuntimeError) and "client connect" in str(error):
            return unavailable(
                "TEMPORAL_UNREACHABLE",
                f"Temporal at {self._temporal_address} does not answer.",
                advice=_START_ADVICE.format(setting="TEMPORAL_ADDRESS"),
            )
        if isinstance(error, WorkflowUpdateRPCTimeoutOrCancelledError):
            return self._no_answer()
        if isinstance(error, TestClockUnavailable):
            return CommandError(ExitCode.REFUSED, "NO_TEST_CLOCK", str(error))
        if isinstance(error, UNREACHABLE):
            return self._database_unreachable(error)
        if isinstance(error, asyncpg.PostgresError):
            return unavailable(
                "DATABASE_NOT_USABLE",
                f"PostgreSQL at {self._database_address} cannot be used as it is: {error}.",
                advice="Bring it up to date with `worksub setup`.",
            )
        return error

    def _temporal_refuses(self, error: "RPCError") -> CommandError:
        from subscription.refusals import Code, refuse
        from starter.cli.errors import refusal
        from temporalio.service import RPCStatusCode

        if error.status is RPCStatusCode.NOT_FOUND and "namespace" not in error.message.lower():
            missing = refuse(
                Code.SUBSCRIPTION_NOT_FOUND, "There is no subscription with that id.", "subscription_id"
            )
            return refusal(missing.refused)
        return unavailable(
            "TEMPORAL_UNREACHABLE",
            f"Temporal at {self._temporal_address} answers {error.status.name}: {error.message}",
            advice=_START_ADVICE.format(setting="TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE"),
        )

    def _database_unreachable(self, error: BaseException) -> CommandError:
        reason = str(error) or type(error).__name__
        return unavailable(
            "DATABASE_UNREACHABLE",
            f"PostgreSQL at {self._database_address} does not answer: {reason}.",
            advice=_START_ADVICE.format(setting="DATABASE_URL"),
        )


_START_ADVICE = "Start the service (`worksub dev` runs all of it here), or check {setting}."


def dev_stack() -> "StackAddresses | None":
    """The stack that `worksub dev` runs in this directory, unless the environment names a service."""
    if {"TEMPORAL_ADDRESS", "DATABASE_URL"} & os.environ.keys() or not DEV_DIRECTORY.is_dir():
        return None
    with embedded_errors_reported():
        from starter.embedded.stack import EmbeddedStack

        return EmbeddedStack.find(DEV_DIRECTORY)


async def client_of(addresses: "StackAddresses") -> "Client":
    """A client of an embedded stack, whatever Temporal settings this user has for other servers."""
    from temporalio.client import Client
    from temporalio.contrib.pydantic import pydantic_data_converter

    return await Client.connect(
        addresses.temporal_address,
        namespace=addresses.namespace,
        data_converter=pydantic_data_converter,
        lazy=True,
    )


def database_url_from_environment() -> str:
    url = os.environ.get("DATABASE_URL")
    if not url:
        raise unavailable(
            "NOT_CONFIGURED",
            "No service is known here: DATABASE_URL is not set, and `worksub dev` does not run in this directory.",
            advice="Start everything here with `worksub dev`, or set DATABASE_URL and TEMPORAL_ADDRESS.",
        )
    return url


def without_password(url: str) -> str:
    """Where the database is, for people."""
    try:
        parts = urlsplit(url)
        return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"
    except ValueError:
        return "an address that cannot be read"
