"""A command's connection to the service: event loop, pool, timeout."""

import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from entrypoints.cli.connections import DatabaseTarget, ServiceTargets, find_record, find_services
from entrypoints.cli.errors import CommandError, refusals_reported, unavailable
from entrypoints.cli.event_loop import collect_garbage, disable_sdk_logging, ignore_pending_futures
from entrypoints.cli.options import DEFAULT_TIMEOUT
from entrypoints.cli.output import print_status

if TYPE_CHECKING:
    from adapters.postgres.pool import Pool
    from starter.client import SubscriptionClient
    from starter.queries import SubscriptionQueries

_SILENCE_SECONDS = 2.0
_LOOK_SECONDS = 0.25
_REPORT_SECONDS = 10.0

T = TypeVar("T")
R = TypeVar("R", bound=DatabaseTarget)


class Session:
    """`with Session() as session: session.ask(lambda client: client.upcoming(id))`.

    `read` and `manage` need the database alone, and no Temporal.

    Whatever goes wrong leaves it as a `CommandError`. Between two questions the caller may talk to a person,
    which inside an event loop would keep Ctrl-C from working.
    """

    def __init__(self, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        import asyncio  # here, for help does without

        self._timeout = timeout
        self._runner = asyncio.Runner()
        self._resources = contextlib.AsyncExitStack()
        self._services: ServiceTargets | None = None
        self._pool: Pool | None = None
        self._last_sign_of_life = 0.0
        self._progress: str | None = None

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

    def read(self, question: "Callable[[SubscriptionQueries], Awaitable[T]]") -> T:
        """What the record answers."""
        from starter.queries import SubscriptionQueries

        async def asked(record: DatabaseTarget) -> T:
            return await question(SubscriptionQueries(await self._connected(record)))

        return self._with_record(asked)

    def subscription(self, reference: str) -> str:
        """Return the id of the subscription that an ID argument means.

        A reference that the record does not know is returned as it is, because a workflow may be running
        that has not been recorded.
        """
        from entrypoints.cli.subscription_lookup import only_one

        return self.read(lambda record: only_one(record, reference))

    def recorded(self, reference: str) -> str:
        """Return the id that an ID argument means; refuse one that the record does not know."""
        subscription_id = self.subscription(reference)
        self.read(lambda record: record.check_exists(subscription_id))
        return subscription_id

    def run_admin(self, task: "Callable[[Pool], Awaitable[T]]") -> T:
        """Something done with what the record keeps for its administrators."""
        from adapters.postgres.pool import create_pool

        async def managed(record: DatabaseTarget) -> T:
            async with create_pool(record.database_url, "worksub_admin", connections=1) as pool:
                return await task(pool)

        return self._with_record(managed)

    def ask(self, question: "Callable[[SubscriptionClient], Awaitable[T]]") -> T:
        """What the service answers."""
        from starter.client import SubscriptionClient

        async def asked(services: ServiceTargets) -> T:
            return await question(SubscriptionClient(services.temporal, await self._connected(services)))

        return self.work(asked)

    def work(self, task: Callable[[ServiceTargets], Awaitable[T]]) -> T:
        """Something done with the servers themselves."""

        async def work() -> T:
            if self._services is None:
                disable_sdk_logging()
                self._services = await find_services()
            return await self._reported(self._services, task)

        return self._runner.run(work())

    def reset_timeout(self, progress: str | None = None) -> None:
        """Restart the time limit during long work, and keep the progress to be printed every few seconds."""
        self._last_sign_of_life = self._runner.get_loop().time()
        self._progress = progress

    def wait(self, seconds: float) -> None:
        """Wait inside the event loop, where Ctrl-C ends the wait at once."""
        import asyncio

        self._runner.run(asyncio.sleep(seconds))

    def _with_record(self, task: Callable[[DatabaseTarget], Awaitable[T]]) -> T:
        async def work() -> T:
            return await self._reported(find_record(), task)

        return self._runner.run(work())

    async def _connected(self, record: DatabaseTarget) -> "Pool":
        from adapters.postgres.pool import create_pool

        if self._pool is None:
            pool = create_pool(record.database_url, "worksub_reader", connections=2)
            self._pool = await self._resources.enter_async_context(pool)
        return self._pool

    async def _reported(self, place: R, task: Callable[[R], Awaitable[T]]) -> T:
        with refusals_reported():
            try:
                return await self._patiently(task(place))
            except Exception as error:
                raise place.in_words(error) from None

    async def _patiently(self, answer: Awaitable[T]) -> T:
        import asyncio

        self.reset_timeout()
        task = asyncio.ensure_future(answer)
        clock = asyncio.get_running_loop().time
        begin = clock()
        report_at = first = begin + _SILENCE_SECONDS
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=_LOOK_SECONDS)
                if task.done():
                    break
                silence = clock() - self._last_sign_of_life
                if silence > self._timeout:
                    raise self._no_answer()
                if clock() > report_at and (self._progress or silence > _SILENCE_SECONDS):
                    print_status(
                        self._progress or self._waiting(None if report_at == first else clock() - begin)
                    )
                    report_at = clock() + _REPORT_SECONDS
            return task.result()
        finally:
            task.cancel()

    def _waiting(self, seconds: float | None) -> str:
        since = "" if seconds is None else f"for {seconds:.0f} s now, "
        return f"Waiting for a worker to answer, {since}for {self._timeout:g} s at most…"

    def _no_answer(self) -> CommandError:
        return unavailable(
            "NO_ANSWER",
            f"No worker has answered within {self._timeout:g} s. A command that was sent may still be "
            "carried out, as soon as a worker works again.",
            advice="`worksub doctor` says what is missing, `worksub worker` starts a worker. Then look at "
            "`worksub status ID`, or send the same command again with the same --id.",
        )
