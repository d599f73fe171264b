"""Webhook dispatcher: a loop in every worker that sends the due deliveries of the webhook outbox.

The dispatcher is a loop and not a workflow, because deliveries, retries and claims are database rows. The
transaction that records an event writes its deliveries. All workers share the outbox through claims. A
delivery that fails for three days is parked (dead-lettered).
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
    TIMEOUT_SECONDS,
    EndpointGoneError,
    EndpointUnavailableError,
    EventRejectedError,
    WebhookHttpClient,
)

POLL_SECONDS = 1.0
# This time plus the worker's 20 seconds is less than the 30 seconds after which the container is killed.
_FINISH_SECONDS = 3.0
_BATCH = 4
"""Concurrent deliveries to one healthy endpoint, each for a different subscription."""
_TURN_SECONDS = 2.0
"""Duration of a turn. An endpoint with more deliveries waits for its next turn (round-robin)."""
_SLOW_SECONDS = 5.0
CLAIM_MARGIN_SECONDS = 10.0

CONNECTIONS = 6
"""Database connections. They are used for single statements, never held during an HTTP call."""

_log = logging.getLogger(__name__)


@asynccontextmanager
async def run_webhook_dispatcher(
    pool: Pool,
    *,
    allow_private_targets: bool,
    call_timeout: float = TIMEOUT_SECONDS,
    claim_margin: float = CLAIM_MARGIN_SECONDS,
    poll_seconds: float = POLL_SECONDS,
) -> AsyncIterator[None]:
    """Deliver webhooks until the context exits; running calls then have a short time to finish.

    After a crash, another dispatcher repeats the call when the call timeout and the margin have passed.
    """
    async with WebhookHttpClient(allow_private_targets=allow_private_targets, timeout=call_timeout) as caller:
        lease = timedelta(seconds=call_timeout + claim_margin)
        dispatcher = Dispatcher(pool, caller, lease=lease, poll_seconds=poll_seconds)
        working = asyncio.create_task(dispatcher.work())
        try:
            yield
        finally:
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
            await dispatcher.finish()


class Dispatcher:
    """Dispatcher loop. `lease` is the duration of a claim; it must exceed the timeout of a call."""

    def __init__(
        self, pool: Pool, caller: WebhookHttpClient, *, lease: timedelta, poll_seconds: float
    ) -> None:
        self._pool = pool
        self._caller = caller
        self._lease = lease
        self._poll_seconds = poll_seconds
        self._running: dict[ReadyEndpoint, asyncio.Task[None]] = {}
        self._turns: dict[str, int] = {}
        self._turn_number = 0
        self._more = asyncio.Event()
        """Set after each batch: more deliveries may be due, or a slot may be free."""
        self._stopping = False

    async def work(self) -> None:
        while True:
            self._more.clear()
            try:
                self._begin_turns(await webhook_outbox.ready_endpoints(self._pool))
            except DATABASE_ERRORS:
                pass  # the database is unavailable; the next poll retries
            except Exception:
                _log.exception("Webhook dispatcher failed unexpectedly; continuing")
            with suppress(TimeoutError):
                # Python 3.11's `wait_for` ignores a cancellation that arrives just after the event.
                async with asyncio.timeout(self._poll_seconds):
                    await self._more.wait()

    async def finish(self) -> None:
        """Wait briefly for running calls; cancel the remaining calls and release their claims."""
        self._stopping = True
        turns = list(self._running.values())
        if turns:
            _, late = await asyncio.wait(turns, timeout=_FINISH_SECONDS)
            for turn in late:
                turn.cancel()
            await asyncio.gather(*turns, return_exceptions=True)

    def _begin_turns(self, ready: list[ReadyEndpoint]) -> None:
        known = {endpoint.endpoint_id for endpoint in (*ready, *self._running)}
        self._turns = {id: number for id, number in self._turns.items() if id in known}
        for endpoint in admitted(ready, self._running.keys(), self._turns):
            self._turn_number += 1
            self._turns[endpoint.endpoint_id] = self._turn_number
            turn = asyncio.create_task(self._turn(endpoint))
            self._running[endpoint] = turn
            turn.add_done_callback(partial(self._end_turn, endpoint))

    def _end_turn(self, endpoint: ReadyEndpoint, _: asyncio.Task[None]) -> None:
        del self._running[endpoint]

    async def _turn(self, endpoint: ReadyEndpoint) -> None:
        """Send due deliveries to one endpoint until a batch fails or the turn ends."""
        ends_at = asyncio.get_running_loop().time() + _TURN_SECONDS
        try:
            while not self._stopping and await self._send_batch(endpoint):
                # Poll again now: another endpoint may be waiting for a free slot.
                self._more.set()
                if asyncio.get_running_loop().time() >= ends_at:
                    return
        except DATABASE_ERRORS as error:
            _log.warning(
                "Webhook dispatcher waits for the database", extra={"fields": {"error": type(error).__name__}}
            )
        except Exception:
            _log.exception("Webhook delivery failed unexpectedly")

    async def _send_batch(self, endpoint: ReadyEndpoint) -> bool:
        """Return whether the endpoint accepted every delivery of a non-empty batch."""
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
        """Return whether the endpoint accepted the event within the time limit for slow calls."""
        try:
            event, secrets = await webhook_outbox.contents(self._pool, delivery)
        except Exception as error:
            if concerns_all(error):
                raise
            _log.exception("Webhook event cannot be read")
            await webhook_outbox.reschedule(self._pool, delivery, "the event cannot be read")
            return False
        started_at = asyncio.get_running_loop().time()
        try:
            await self._caller.call(delivery.url, event, secrets)
        except EndpointGoneError as error:
            await webhook_outbox.disable(self._pool, delivery, str(error))
            return False
        except EventRejectedError as error:
            await webhook_outbox.reschedule(self._pool, delivery, str(error), error.retry_after)
            return False
        except EndpointUnavailableError as error:
            await webhook_outbox.pause_endpoint(self._pool, delivery, str(error), error.retry_after)
            return False
        except Exception:
            _log.exception("Webhook event cannot be sent")
            await webhook_outbox.reschedule(self._pool, delivery, "the event cannot be sent")
            return False
        slow = asyncio.get_running_loop().time() - started_at > _SLOW_SECONDS
        await webhook_outbox.mark_delivered(self._pool, delivery, slow=slow)
        return not slow
