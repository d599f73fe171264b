"""Delivering: what waits in the outbox is handed to the mail server, one letter in one transaction.

A letter that the server has taken and that could not be noted as sent, because the worker died, is sent again
with the same message id.
"""

import asyncio
from collections import Counter
from datetime import date, timedelta
from enum import Enum, auto

from temporalio import activity

from activities import outbox
from activities.boundary import Batch
from activities.catalogues import price_book
from activities.database import Connection, Pool
from activities.mail import Interrupted, Mailer, NotTaken, ServerTrouble, mail
from activities.mail_server import MailServer
from subscription.catalogue import PriceBook
from subscription.outbox import DeliverNotices, NoticesDelivered, NoticeState, pause_after

NO_SERVER = "no mail server is set: WORKSUB_SMTP_URL"

_PAGE = 100
_PAGE_SECONDS = 240
# With the pauses between them three days or so. A mail server that is away counts for none.
_MOST_ATTEMPTS = 20
_MOST_INTERRUPTED_IN_A_ROW = 3
_UNFORESEEN_PAUSE = timedelta(hours=1)


class _Outcome(Enum):
    SENT = auto()
    GIVEN_UP = auto()
    PUT_OFF = auto()
    INTERRUPTED = auto()
    NOT_OURS = auto()
    """Another worker is at it, or it is to be sent no longer."""


class DeliveringActivities:
    """`server` is None where notices are only kept, for others to read."""

    def __init__(self, pool: Pool, server: MailServer | None) -> None:
        self._pool = pool
        self._server = server

    @activity.defn
    async def deliver_notices(self, wanted: DeliverNotices) -> NoticesDelivered:
        """Send a page of what may be tried now, unless it no longer holds."""
        if self._server is None:
            await outbox.say_why_all_wait(self._pool, NO_SERVER)
            return NoticesDelivered(waiting=(await outbox.waiting(self._pool)).count, no_server=True)
        outcomes: Counter[_Outcome] = Counter()
        batch, trouble = Batch("notices"), None
        try:
            async with Mailer(self._server) as mailer:
                await self._deliver(mailer, wanted.day, outcomes, batch)
        except ServerTrouble as error:
            trouble = str(error)
            await outbox.say_why_all_wait(self._pool, trouble)
        left = await outbox.waiting(self._pool)
        tried = outcomes.total() > outcomes[_Outcome.NOT_OURS]
        at_once = left.next_in_seconds is not None and left.next_in_seconds <= 0
        return NoticesDelivered(
            sent=outcomes[_Outcome.SENT],
            given_up=outcomes[_Outcome.GIVEN_UP],
            waiting=left.count,
            more=tried and at_once and trouble is None,
            trouble=trouble,
            failed=tuple(batch.failures),
            next_in_seconds=left.next_in_seconds,
        )

    async def _deliver(self, mailer: Mailer, day: date, outcomes: Counter[_Outcome], batch: Batch) -> None:
        book = await price_book(self._pool)
        clock = asyncio.get_running_loop()
        ends, interrupted = clock.time() + _PAGE_SECONDS, 0
        for number, subscription_id in await outbox.to_be_tried(self._pool, _PAGE):
            activity.heartbeat()
            if clock.time() > ends:
                return
            if (outcome := await self._alone(mailer, number, subscription_id, day, book, batch)) is None:
                continue
            outcomes[outcome] += 1
            # One letter that a server stumbles over is that letter's matter; several are the server's.
            interrupted = interrupted + 1 if outcome is _Outcome.INTERRUPTED else 0
            if interrupted == _MOST_INTERRUPTED_IN_A_ROW:
                raise ServerTrouble("the mail server breaks off again and again")

    async def _alone(
        self, mailer: Mailer, number: int, subscription_id: str, day: date, book: PriceBook, batch: Batch
    ) -> _Outcome | None:
        """Try one notice; None if it failed unforeseen, and was put off so that others have their turn."""

        async def tried() -> _Outcome:
            await outbox.bring_up_to_date(self._pool, subscription_id, day, book)
            await mailer.ready()
            return await self._attempt(mailer, number)

        before = len(batch.failures)
        outcome = await batch.alone(subscription_id, tried(), of_all=(ServerTrouble,))
        if len(batch.failures) > before:
            reason = f"it could not be worked on ({batch.failures[-1].error})"
            async with self._pool.acquire() as connection:
                await outbox.put_off(connection, number, _UNFORESEEN_PAUSE, reason)
        return outcome

    async def _attempt(self, mailer: Mailer, number: int) -> _Outcome:
        assert self._server is not None
        async with outbox.taken(self._pool, number) as (connection, notice):
            if notice is None:
                return _Outcome.NOT_OURS
            try:
                message = mail(notice.letter, self._server.sender, notice.name)
                await mailer.send(message, notice.letter.recipient)
            except NotTaken as refusal:
                if refusal.for_good:
                    await outbox.settle(connection, number, NoticeState.GIVEN_UP, str(refusal))
                    return _Outcome.GIVEN_UP
                return await _later(connection, notice, str(refusal), _Outcome.PUT_OFF)
            except Interrupted as break_off:
                return await _later(connection, notice, str(break_off), _Outcome.INTERRUPTED)
            await outbox.settle(connection, number, NoticeState.SENT)
            return _Outcome.SENT


async def _later(connection: Connection, notice: outbox.Taken, reason: str, outcome: _Outcome) -> _Outcome:
    """Put off, or given up if that was the last attempt."""
    attempts = notice.attempts + 1
    if attempts >= _MOST_ATTEMPTS:
        await outbox.settle(connection, notice.number, NoticeState.GIVEN_UP, reason)
        return _Outcome.GIVEN_UP
    await outbox.put_off(connection, notice.number, pause_after(attempts), reason)
    return outcome
