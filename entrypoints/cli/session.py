"""A command's connection to the service: event loop, pool, timeout."""

import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from entrypoints.cli.connections import DatabaseTarget, ServiceTargets, find_database, find_services
from entrypoints.cli.errors import convert_refusals
from entrypoints.cli.event_loop import collect_garbage, disable_sdk_logging, ignore_pending_futures
from entrypoints.cli.options import DEFAULT_TIMEOUT
from entrypoints.cli.reported_wait import ReportedWait

if TYPE_CHECKING:
    from adapters.postgres.pool import Pool
    from starter.bulk import BulkRuns
    from starter.client import SubscriptionClient
    from starter.exports import SubscriptionExports
    from starter.queries import SubscriptionQueries
    from starter.status_queries import StatusQueries

T = TypeVar("T")
R = TypeVar("R", bound=DatabaseTarget)


class Session:
    """Connection of one command: `with Session() as session: session.run_client(...)`.

    `run_query` and `run_admin` connect to the database only, not to Temporal. Errors are raised as
    `CommandError`. Each call runs the event loop. The command prompts the user between calls, because a
    prompt inside the event loop would block Ctrl-C.
    """

    def __init__(self, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        import asyncio  # deferred, because --help does not need it

        self._wait = ReportedWait(timeout)
        self._runner = asyncio.Runner()
        self._resources = contextlib.AsyncExitStack()
        self._services: ServiceTargets | None = None
        self._pool: Pool | None = None

    def __enter__(self) -> Self:
        ignore_pending_futures(self._runner.get_loop())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._runner.run(self._resources.aclose())
        finally:
            self._runner.close()
            self._pool = None
            if self._services is not None:
                self._services = None
                collect_garbage()

    def run_status_query(self, query: "Callable[[StatusQueries], Awaitable[T]]") -> T:
        """Run a query of recorded states, without importing the other queries."""
        from starter.status_queries import StatusQueries

        async def run(database: DatabaseTarget) -> T:
            return await query(StatusQueries(await self._connected(database)))

        return self._with_database(run)

    def run_query(self, query: "Callable[[SubscriptionQueries], Awaitable[T]]") -> T:
        """Run a query on the database and return its result."""
        from starter.queries import SubscriptionQueries

        async def run(database: DatabaseTarget) -> T:
            return await query(SubscriptionQueries(await self._connected(database)))

        return self._with_database(run)

    def run_reader(self, task: "Callable[[Pool], Awaitable[T]]") -> T:
        """Run a task on the database in the role `worksub_reader`."""

        async def run(database: DatabaseTarget) -> T:
            return await task(await self._connected(database))

        return self._with_database(run)

    def resolve_id(self, reference: str) -> str:
        """Return the subscription ID for an ID argument.

        Return a reference that is not in the database unchanged, because its workflow may be running without
        a database row yet.
        """
        from entrypoints.cli.subscription_lookup import resolve

        return self.run_status_query(lambda queries: resolve(queries, reference))

    def resolve_existing_id(self, reference: str) -> str:
        """Return the ID for an ID argument; raise `CommandError` if it is not in the database."""
        subscription_id = self.resolve_id(reference)
        self.run_status_query(lambda queries: queries.check_exists(subscription_id))
        return subscription_id

    def run_admin(self, task: "Callable[[Pool], Awaitable[T]]") -> T:
        """Run a task on the database in the role `worksub_admin`."""
        from adapters.postgres.pool import create_pool

        async def run(database: DatabaseTarget) -> T:
            async with create_pool(database.database_url, "worksub_admin", connections=1) as pool:
                return await task(pool)

        return self._with_database(run)

    def run_exports(self, task: "Callable[[SubscriptionExports], Awaitable[T]]") -> T:
        """Run a task on the exports of subscriptions (R37)."""
        from adapters.postgres.pool import create_pool
        from starter.exports import SubscriptionExports

        async def run(database: DatabaseTarget) -> T:
            async with create_pool(database.database_url, "worksub_exporter", connections=1) as pool:
                return await task(SubscriptionExports(pool))

        return self._with_database(run)

    def run_client(self, call: "Callable[[SubscriptionClient], Awaitable[T]]") -> T:
        """Run a call of `SubscriptionClient` and return its result."""
        from starter.client import SubscriptionClient
        from subscription.issuer import Channel, Issuer

        async def run(services: ServiceTargets) -> T:
            pool, issuer = await self._connected(services), Issuer(channel=Channel.CLI)
            return await call(SubscriptionClient(services.temporal, pool, issuer=issuer))

        return self.run_services(run)

    def run_bulk(self, call: "Callable[[BulkRuns], Awaitable[T]]") -> T:
        """Run a call of the bulk runs. Only the start of a run uses the role `worksub_admin`."""
        from adapters.postgres.pool import create_pool
        from starter.client import SubscriptionClient
        from subscription.issuer import Channel, Issuer

        async def run(services: ServiceTargets) -> T:
            issuer = Issuer(channel=Channel.CLI)
            async with create_pool(services.database_url, "worksub_admin", connections=1) as own:
                client = SubscriptionClient(services.temporal, await self._connected(services), issuer=issuer)
                return await call(client.bulk_runs(own))

        return self.run_services(run)

    def run_services(self, task: Callable[[ServiceTargets], Awaitable[T]]) -> T:
        """Run a task on the servers directly, such as `worksub setup`."""

        async def run() -> T:
            if self._services is None:
                disable_sdk_logging()
                self._services = await find_services()
            return await self._convert_errors(self._services, task)

        return self._runner.run(run())

    def reset_timeout(self, progress: str | None = None) -> None:
        """Restart the timeout during a long task; set the progress message for the periodic report."""
        self._wait.reset_timeout(progress)

    def wait(self, seconds: float) -> None:
        """Sleep inside the event loop, where Ctrl-C interrupts the sleep immediately."""
        import asyncio

        self._runner.run(asyncio.sleep(seconds))

    def _with_database(self, task: Callable[[DatabaseTarget], Awaitable[T]]) -> T:
        async def run() -> T:
            return await self._convert_errors(find_database(), task)

        return self._runner.run(run())

    async def _connected(self, database: DatabaseTarget) -> "Pool":
        from adapters.postgres.pool import create_pool

        if self._pool is None:
            pool = create_pool(database.database_url, "worksub_reader", connections=2)
            self._pool = await self._resources.enter_async_context(pool)
        return self._pool

    async def _convert_errors(self, target: R, task: Callable[[R], Awaitable[T]]) -> T:
        with convert_refusals():
            try:
                return await self._wait.result_of(task(target))
            except Exception as error:
                raise target.to_command_error(error) from None
