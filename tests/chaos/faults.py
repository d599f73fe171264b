"""Random fault injection for servers and workers."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias

from .environment import LOGIN, ChaosEnvironment
from .webhook_receivers import ReceiverMode

Fault: TypeAlias = Callable[[], Awaitable[None]]
Span: TypeAlias = tuple[float, float]
"""Start and end by the wall clock."""

_CATCH_SECONDS = 2.0
# Factor for the duration of each fault in a short run.
_SHORT = 0.3
_LOSING_ANSWERS = ("worker", "PostgreSQL", "database")


class FaultInjector:
    """Streams of faults: in the workers, in the API and webhook receivers, and in the servers.

    Each kind occurs once in every round of its stream.
    `done` counts the faults by kind. `unsettled` has the times at which a result may have been lost on its
    way into the database.
    """

    def __init__(
        self, chaos_env: ChaosEnvironment, seed: int, log: Callable[[str], None], *, long: bool
    ) -> None:
        self._env = chaos_env
        # One generator per stream; with one for all, the draws would depend on the order of the streams.
        self._with_workers = random.Random(f"{seed}/workers")
        self._with_callers = random.Random(f"{seed}/callers")
        self._with_servers = random.Random(f"{seed}/servers")
        self._log = log
        self._long = long
        self._pace = 1.0 if long else _SHORT
        self.done: Counter[str] = Counter()
        self.unsettled: list[Span] = []
        self._at_workers: Mapping[str, Fault] = {
            "SIGKILL of a worker": self._kill_worker,
            "SIGTERM of a worker": self._stop_worker,
        }
        if long:  # the tasks of a frozen worker time out after ten seconds and go to another worker
            self._at_workers = {**self._at_workers, "worker frozen, then back": self._freeze_worker}
        self._at_callers: Mapping[str, Fault] = {
            "SIGKILL of the API": self._kill_api,
            "SIGTERM of the API": self._stop_api,
            "webhook receiver failing": lambda: self._receiver("failing"),
            "webhook receiver hanging": lambda: self._receiver("hanging"),
            "webhook receiver away": self._receiver_away,
        }
        self._at_servers: Mapping[str, Fault] = {
            "SIGKILL of PostgreSQL": self._kill_postgres,
            "SIGKILL of Temporal": self._kill_temporal,
            "database read-only": self._read_only,
            "database out of connections": self._out_of_connections,
            "connections to the database cut": self._cut_connections,
            "DNS timing out": lambda: self._dns("timeout"),
            "DNS failing": lambda: self._dns("servfail"),
            "DNS lying": self._lying_dns,
        }

    async def inject(self, enough: asyncio.Event) -> None:
        """Inject faults until `enough` is set, or for one round. All faults are repaired on return."""
        async with asyncio.TaskGroup() as streams:
            for chance, kinds, pauses in (
                (self._with_workers, self._at_workers, (3.0, 8.0)),
                (self._with_callers, self._at_callers, (1.0, 4.0)),
                (self._with_servers, self._at_servers, (1.0, 4.0)),
            ):
                streams.create_task(self._stream(chance, kinds, pauses, enough))

    @property
    def is_complete(self) -> bool:
        """Return whether every kind of fault has occurred at least once."""
        return all(self.done[kind] for kind in (*self._at_workers, *self._at_callers, *self._at_servers))

    async def _stream(
        self,
        chance: random.Random,
        kinds: Mapping[str, Fault],
        pauses: tuple[float, float],
        enough: asyncio.Event,
    ) -> None:
        while True:
            for kind in chance.sample(list(kinds), len(kinds)):
                if await _happens_within(enough, chance.uniform(*pauses) * self._pace):
                    return
                self._log(kind)
                began = time.time()
                await kinds[kind]()
                self.done[kind] += 1
                if any(word in kind for word in _LOSING_ANSWERS):
                    self.unsettled.append((began, time.time()))
            if not self._long:
                return

    # -- workers -------------------------------------------------------------------------------------

    async def _kill_worker(self) -> None:
        worker = self._with_workers.choice(self._env.workers)
        await worker.end(signal.SIGKILL)
        await self._a_while(self._with_workers, 0.0, 1.5)
        await worker.start()

    async def _stop_worker(self) -> None:
        worker = self._with_workers.choice(self._env.workers)
        await worker.end(signal.SIGTERM)
        await worker.start()

    async def _freeze_worker(self) -> None:
        worker = self._with_workers.choice(self._env.workers)
        worker.send(signal.SIGSTOP)
        try:
            await self._a_while(self._with_workers, 11.0, 14.0)
        finally:
            worker.send(signal.SIGCONT)

    # -- API and webhook receivers -------------------------------------------------------------------

    async def _kill_api(self) -> None:
        api = self._with_callers.choice(self._env.apis)
        await api.end(signal.SIGKILL)
        await self._a_while(self._with_callers, 0.0, 1.5)
        await api.start()

    async def _stop_api(self) -> None:
        await self._with_callers.choice(self._env.apis).replace()

    async def _receiver(self, mode: ReceiverMode) -> None:
        """Keep the mode for a while, and until a webhook delivery has met it."""
        receiver = self._with_callers.choice(self._env.receivers)
        receiver.mode = mode
        receiver.called.clear()
        await self._a_while(self._with_callers, 0.5, 3.0)
        await _happens_within(receiver.called, _CATCH_SECONDS)
        receiver.mode = "well"

    async def _receiver_away(self) -> None:
        receiver = self._with_callers.choice(self._env.receivers)
        await receiver.close()
        await self._a_while(self._with_callers, 0.5, 3.0)
        await receiver.open()

    # -- servers -------------------------------------------------------------------------------------

    async def _kill_postgres(self) -> None:
        if await self._catches_a_transaction():
            self.done["SIGKILL of PostgreSQL, in a transaction"] += 1
        await self._env.kill(self._env.postgres)
        await self._a_while(self._with_servers, 0.0, 2.0)
        await self._env.begin_again(self._env.postgres)

    async def _kill_temporal(self) -> None:
        await self._env.kill(self._env.temporal)
        await self._a_while(self._with_servers, 0.0, 1.0)
        await self._env.begin_again(self._env.temporal)

    async def _catches_a_transaction(self) -> bool:
        """Wait until a worker has an open transaction that has written and not committed."""
        give_up = time.monotonic() + _CATCH_SECONDS
        async with self._env.owner() as owner:
            while time.monotonic() < give_up:
                if await owner.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND backend_xid IS NOT NULL",
                    LOGIN,
                ):
                    return True
        return False

    # -- the database --------------------------------------------------------------------------------

    async def _read_only(self) -> None:
        async with self._until_the_end(
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "ALTER SYSTEM RESET default_transaction_read_only",
        ):
            await self._a_while(self._with_servers, 0.5, 2.5)

    async def _out_of_connections(self) -> None:
        async with self._until_the_end(
            f"ALTER ROLE {LOGIN} CONNECTION LIMIT 0", f"ALTER ROLE {LOGIN} CONNECTION LIMIT -1"
        ):
            await self._cut_connections()
            await self._a_while(self._with_servers, 0.5, 2.5)

    async def _cut_connections(self) -> None:
        async with self._env.owner() as owner:
            await owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", LOGIN
            )

    @asynccontextmanager
    async def _until_the_end(self, begin: str, end: str) -> AsyncIterator[None]:
        async with self._env.owner() as owner:
            for statement in (begin, end):
                await owner.execute(statement)
                await owner.execute("SELECT pg_reload_conf()")
                if statement == begin:
                    yield

    # -- the DNS -------------------------------------------------------------------------------------

    async def _dns(self, how: str) -> None:
        self._env.dns.answer_with = how  # type: ignore[assignment]
        await self._a_while(self._with_servers, 0.5, 3.0)
        self._env.dns.answer_with = "normal"

    async def _lying_dns(self) -> None:
        self._env.dns.lies = True
        await self._a_while(self._with_servers, 0.5, 3.0)
        self._env.dns.lies = False

    async def _a_while(self, chance: random.Random, shortest: float, longest: float) -> None:
        await asyncio.sleep(chance.uniform(shortest, longest) * self._pace)


async def _happens_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
