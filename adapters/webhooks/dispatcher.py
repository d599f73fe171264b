"""Webhook dispatcher: a loop in every worker that sends the due deliveries of the outbox.

It is a loop and not a workflow: the deliveries, their retries and their claims are rows in the database, and
the transaction that records an event writes them.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial

from adapters.outages import concerns_all
from adapters.postgres import webhook_outbox
from adapters.postgres.pool import DATABASE_ERRORS, Pool
from adapters.postgres.webhook_outbox import Claimed
from adapters.webhooks.fairness import ReadyEndpoint, admitted
from adapters.webhooks.http_client import (
    PATIENCE_SECONDS,
    EndpointGone,
    EndpointUnavailableError,
    EventRejectedError,
    WebhookHttpClient,
)

_LOOK_SECONDS = 1.0
# With the worker's own 20 seconds less than the 30 after which its container is killed.
_FINISH_SECONDS = 3.0
_BATCH = 4
"""Deliveries of different subscriptions that are sent to one endpoint at the same time, if it is well."""
_TURN_SECONDS = 2.0
"""An endpoint with more to send than fits into this time goes to the end of the line."""
_SLOW_SECONDS = 5.0
_CLAIM_MARGIN_SECONDS = 10.0

CONNECTIONS = 6
"""Each is held for single statements only, never while an endpoint is called."""

_log = logging.getLogger("worksub")


@asynccontextmanager
async def run_webhook_dispatcher(
    pool: Pool, *, anywhere: bool, patience: float = PATIENCE_SECONDS
) -> AsyncIterator[None]:
    """Deliver while in this block. On leaving, calls under way have a moment to finish."""
    async with WebhookHttpClient(anywhere=anywhere, patience=patience) as caller:
        dispatcher = Dispatcher(pool, caller, lease=timedelta(seconds=patience + _CLAIM_MARGIN_SECONDS))
        working = asyncio.create_task(dispatcher.work())
        try:
            yield
        finally:
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
            await dispatcher.finish()


class Dispatcher:
    """`lease` is for how long a delivery is claimed; it is longer than a call may last."""

    def __init__(self, pool: Pool, caller: WebhookHttpClient, *, lease: timedelta) -> None:
        self._pool = pool
        self._caller = caller
        self._lease = lease
        self._running: dict[ReadyEndpoint, asyncio.Task[None]] = {}
        self._turns: dict[str, int] = {}
        self._turn_number = 0
        self._more = asyncio.Event()
        """Set when a turn has ended that may have left more to send, or has freed a slot."""
        self._stopping = False

    async def work(self) -> None:
        while True:
            self._more.clear()
            try:
                self._begin_turns(await webhook_outbox.ready_endpoints(self._pool))
            except DATABASE_ERRORS:
                pass  # the database is away; the next poll tries again
            except Exception:
                _log.exception("The webhook dispatcher has failed unforeseen, and goes on.")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._more.wait(), _LOOK_SECONDS)

    async def finish(self) -> None:
        """Wait a moment for the calls under way; the claims of the others are released."""
        self._stopping = True
        turns = list(self._running.values())
        if turns:
            _, late = await asyncio.wait(turns, timeout=_FINISH_SECONDS)
            for turn in late:
                turn.cancel()
            await asyncio.gather(*turns, return_exceptions=True)

    def _begin_turns(self, ready: list[ReadyEndpoint]) -> None:
        known = {each.endpoint_id for each in (*ready, *self._running)}
        self._turns = {each: number for each, number in self._turns.items() if each in known}
        for endpoint in admitted(ready, self._running.keys(), self._turns):
            self._turn_number += 1
            self._turns[endpoint.endpoint_id] = self._turn_number
            turn = asyncio.create_task(self._turn(endpoint))
            self._running[endpoint] = turn
            turn.add_done_callback(partial(self._end_turn, endpoint))

    def _end_turn(self, endpoint: ReadyEndpoint, _: asyncio.Task[None]) -> None:
        del self._running[endpoint]

    async def _turn(self, endpoint: ReadyEndpoint) -> None:
        """Send what is due to one endpoint, for as long as it takes it and its turn lasts."""
        ends_at = asyncio.get_running_loop().time() + _TURN_SECONDS
        try:
            while not self._stopping and await self._send_batch(endpoint):
                # Also a slot that is free again is worth a poll: another endpoint may wait for it.
                self._more.set()
                if asyncio.get_running_loop().time() >= ends_at:
                    return
        except DATABASE_ERRORS as error:
            _log.warning("Webhooks wait for the database.", extra={"fields": {"error": type(error).__name__}})
        except Exception:
            _log.exception("A turn of a webhook endpoint has failed unforeseen.")

    async def _send_batch(self, endpoint: ReadyEndpoint) -> bool:
        """Return whether the endpoint has taken all of a batch that was not empty."""
        limit = 1 if endpoint.failures else _BATCH
        batch = await webhook_outbox.claim(self._pool, endpoint.endpoint_id, limit=limit, lease=self._lease)
        try:
            results = await asyncio.gather(*map(self._deliver, batch), return_exceptions=True)
        except asyncio.CancelledError:
            with suppress(*DATABASE_ERRORS):
                await webhook_outbox.release(self._pool, batch)
            raise
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return bool(batch) and all(results)

    async def _deliver(self, delivery: Claimed) -> bool:
        """Return whether the endpoint has taken the event, and took no longer for it than it should."""
        try:
            event, secrets = await webhook_outbox.contents(self._pool, delivery)
        except Exception as error:
            if concerns_all(error):
                raise
            _log.exception("A webhook event cannot be read.")
            await webhook_outbox.reschedule(self._pool, delivery, "the event cannot be read")
            return False
        began = asyncio.get_running_loop().time()
        try:
            await self._caller.call(delivery.url, event, secrets)
        except EndpointGone as gone:
            await webhook_outbox.disable(self._pool, delivery, str(gone))
            return False
        except EventRejectedError as refusal:
            await webhook_outbox.reschedule(self._pool, delivery, str(refusal), refusal.retry_after)
            return False
        except EndpointUnavailableError as failure:
            await webhook_outbox.pause_endpoint(self._pool, delivery, str(failure), failure.retry_after)
            return False
        except Exception:
            _log.exception("A webhook event cannot be sent.")
            await webhook_outbox.reschedule(self._pool, delivery, "the event cannot be sent")
            return False
        slow = asyncio.get_running_loop().time() - began > _SLOW_SECONDS
        await webhook_outbox.mark_delivered(self._pool, delivery, slow=slow)
        return not slow
