"""The courier: takes what waits in the outbox to the endpoints, in this process and in any number of others.

A loop and no workflow: an event happens at any moment and is to be told at once, and what is waiting, when it
is tried again and by whom is all in the database, where it was put together with the event.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from activities.database import FAILING, Pool
from activities.webhooks import outbox
from activities.webhooks.calling import PATIENCE_SECONDS, Caller, EndpointAway, EventRefused

_LOOK_SECONDS = 1.0
# With the worker's own 20 seconds less than the 30 after which its container is killed.
_FINISH_SECONDS = 3.0
_PAGE = 50
AT_ONCE = 6
"""Each holds a connection to the database while an endpoint makes up its mind."""
_AT_ONE_ENDPOINT = 2

_log = logging.getLogger("worksub")


@asynccontextmanager
async def webhooks_delivered(
    pool: Pool, *, anywhere: bool, patience: float = PATIENCE_SECONDS
) -> AsyncIterator[None]:
    """Deliver while in this block; on leaving it what is under way has a moment to finish."""
    async with Caller(anywhere=anywhere, patience=patience) as caller:
        courier = Courier(pool, caller)
        working = asyncio.create_task(courier.work())
        try:
            yield
        finally:
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
            await courier.finish()


class Courier:
    def __init__(self, pool: Pool, caller: Caller) -> None:
        self._pool = pool
        self._caller = caller
        self._free = asyncio.Semaphore(AT_ONCE)
        # One errand for each endpoint, so that one that hangs keeps no other waiting.
        self._errands: dict[str, asyncio.Task[None]] = {}
        self._stopping = False

    async def work(self) -> None:
        while True:
            try:
                for endpoint_id in await outbox.due_endpoints(self._pool):
                    self._run_errand(endpoint_id)
            except FAILING:
                pass  # it is away, and asked again in a moment
            except Exception:
                _log.exception("The courier has failed unforeseen, and goes on.")
            await asyncio.sleep(_LOOK_SECONDS)

    async def finish(self) -> None:
        """Wait for what is under way, not for long: what breaks off is told again."""
        self._stopping = True
        errands = list(self._errands.values())
        if errands:
            _, late = await asyncio.wait(errands, timeout=_FINISH_SECONDS)
            for errand in late:
                errand.cancel()
            await asyncio.gather(*errands, return_exceptions=True)

    def _run_errand(self, endpoint_id: str) -> None:
        if endpoint_id not in self._errands:
            errand = asyncio.create_task(self._errand(endpoint_id))
            self._errands[endpoint_id] = errand
            errand.add_done_callback(lambda _: self._errands.pop(endpoint_id))

    async def _errand(self, endpoint_id: str) -> None:
        """All that may be delivered to an endpoint now, as long as it takes it."""
        try:
            turn, going_well = asyncio.Semaphore(_AT_ONE_ENDPOINT), True
            while going_well and not self._stopping:
                numbers = await outbox.due(self._pool, endpoint_id, _PAGE)
                going_well = any(await asyncio.gather(*(self._deliver(each, turn) for each in numbers)))
        except FAILING as error:
            _log.warning("Webhooks wait for the database.", extra={"fields": {"error": type(error).__name__}})
        except Exception:
            _log.exception("An errand for a webhook has failed unforeseen.")

    async def _deliver(self, number: int, turn: asyncio.Semaphore) -> bool:
        """Whether it was delivered."""
        async with turn, self._free, outbox.taken(self._pool, number) as (connection, delivery):
            if delivery is None or self._stopping:
                return False
            try:
                await self._caller.call(delivery.url, delivery.event, delivery.secrets)
            except EventRefused as refusal:
                await outbox.put_off(connection, delivery, str(refusal))
                return False
            except EndpointAway as failure:
                await outbox.pause(connection, delivery, str(failure))
                return False
            await outbox.delivered(connection, delivery)
            return True
