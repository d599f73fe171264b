"""Activities that queue notices and deliver them by email.

A letter that the server has taken and that could not be noted as sent, because the worker died, is sent again
with the same message id.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from enum import Enum, auto
from typing import Any

from temporalio import activity

from activities.batch import Batch
from adapters.email.settings import MailServer
from adapters.email.smtp_sender import (
    SmtpConnectionLostError,
    SmtpRejectedError,
    SmtpSender,
    SmtpServerError,
    build_message,
)
from adapters.postgres import notice_outbox
from adapters.postgres.catalogue_repository import load_price_book
from adapters.postgres.pool import Connection, Pool
from subscription.catalogue import PriceBook
from subscription.notice_outbox import (
    DeliverNoticesInput,
    DeliverNoticesResult,
    NoticeState,
    QueueNoticesInput,
    QueueNoticesResult,
    retry_delay,
)
from subscription.notices import NoticeKey, notices_due
from subscription.state import Subscription

NO_SERVER = "no mail server is set: WORKSUB_SMTP_URL"

_NOTICES_PER_PAGE = 100
_NOTICES_PER_PAGE_SECONDS = 240
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
    async def deliver_notices(self, wanted: DeliverNoticesInput) -> DeliverNoticesResult:
        """Send a page of what may be tried now, unless it no longer holds."""
        if self._server is None:
            await notice_outbox.set_waiting_reason(self._pool, NO_SERVER)
            return DeliverNoticesResult(
                waiting=(await notice_outbox.queue_depth(self._pool)).count, no_server=True
            )
        outcomes: Counter[_Outcome] = Counter()
        batch, trouble = Batch("notices"), None
        try:
            async with SmtpSender(self._server) as mailer:
                await self._deliver(mailer, wanted.day, outcomes, batch)
        except SmtpServerError as error:
            trouble = str(error)
            await notice_outbox.set_waiting_reason(self._pool, trouble)
        left = await notice_outbox.queue_depth(self._pool)
        tried = outcomes.total() > outcomes[_Outcome.NOT_OURS]
        at_once = left.next_in_seconds is not None and left.next_in_seconds <= 0
        return DeliverNoticesResult(
            sent=outcomes[_Outcome.SENT],
            given_up=outcomes[_Outcome.GIVEN_UP],
            waiting=left.count,
            more=tried and at_once and trouble is None,
            trouble=trouble,
            failed=tuple(batch.failures),
            next_in_seconds=left.next_in_seconds,
        )

    async def _deliver(
        self, mailer: SmtpSender, day: date, outcomes: Counter[_Outcome], batch: Batch
    ) -> None:
        book = await load_price_book(self._pool)
        clock = asyncio.get_running_loop()
        ends, interrupted = clock.time() + _NOTICES_PER_PAGE_SECONDS, 0
        for number, subscription_id in await notice_outbox.due_notices(self._pool, _NOTICES_PER_PAGE):
            activity.heartbeat()
            if clock.time() > ends:
                return
            if (outcome := await self._alone(mailer, number, subscription_id, day, book, batch)) is None:
                continue
            outcomes[outcome] += 1
            # One letter that a server stumbles over is that letter's matter; several are the server's.
            interrupted = interrupted + 1 if outcome is _Outcome.INTERRUPTED else 0
            if interrupted == _MOST_INTERRUPTED_IN_A_ROW:
                raise SmtpServerError("the mail server breaks off again and again")

    async def _alone(
        self, mailer: SmtpSender, number: int, subscription_id: str, day: date, book: PriceBook, batch: Batch
    ) -> _Outcome | None:
        """Try one notice; None if it failed unforeseen, and was put off so that others have their turn."""

        async def tried() -> _Outcome:
            await notice_outbox.sync_notices(self._pool, subscription_id, day, book)
            await mailer.ready()
            return await self._attempt(mailer, number)

        before = len(batch.failures)
        outcome = await batch.alone(subscription_id, tried(), of_all=(SmtpServerError,))
        if len(batch.failures) > before:
            reason = f"it could not be worked on ({batch.failures[-1].error})"
            async with self._pool.acquire() as connection:
                await notice_outbox.reschedule(connection, number, _UNFORESEEN_PAUSE, reason)
        return outcome

    async def _attempt(self, mailer: SmtpSender, number: int) -> _Outcome:
        assert self._server is not None
        async with notice_outbox.claim(self._pool, number) as (connection, notice):
            if notice is None:
                return _Outcome.NOT_OURS
            try:
                message = build_message(notice.letter, self._server.sender, notice.name)
                await mailer.send(message, notice.letter.recipient)
            except SmtpRejectedError as refusal:
                if refusal.for_good:
                    await notice_outbox.settle(connection, number, NoticeState.GIVEN_UP, str(refusal))
                    return _Outcome.GIVEN_UP
                return await _later(connection, notice, str(refusal), _Outcome.PUT_OFF)
            except SmtpConnectionLostError as break_off:
                return await _later(connection, notice, str(break_off), _Outcome.INTERRUPTED)
            await notice_outbox.settle(connection, number, NoticeState.SENT)
            return _Outcome.SENT


async def _later(
    connection: Connection, notice: notice_outbox.ClaimedDelivery, reason: str, outcome: _Outcome
) -> _Outcome:
    """Put off, or given up if that was the last attempt."""
    attempts = notice.attempts + 1
    if attempts >= _MOST_ATTEMPTS:
        await notice_outbox.settle(connection, notice.number, NoticeState.GIVEN_UP, reason)
        return _Outcome.GIVEN_UP
    await notice_outbox.reschedule(connection, notice.number, retry_delay(attempts), reason)
    return outcome


_SUBSCRIPTIONS_PER_PAGE = 500


class TellingActivities:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @activity.defn
    async def tell_notices(self, wanted: QueueNoticesInput) -> QueueNoticesResult:
        """Fill the outbox for a page of subscriptions; done again, it adds nothing."""
        page = await self._page(wanted.after)
        book = await load_price_book(self._pool)
        known = await notice_outbox.states(self._pool, [row["subscription_id"] for row in page])
        batch, told = Batch("notices"), 0
        for row in page:
            activity.heartbeat()
            await asyncio.sleep(0)  # others work in this process too
            subscription_id = row["subscription_id"]
            step = self._tell(row, known[subscription_id], wanted.day, book)
            told += await batch.alone(subscription_id, step) or 0
        return QueueNoticesResult(
            told=told,
            failed=tuple(batch.failures),
            next_after=page[-1]["subscription_id"] if len(page) == _SUBSCRIPTIONS_PER_PAGE else None,
        )

    async def _tell(
        self, row: Any, known: Mapping[NoticeKey, NoticeState], day: date, book: PriceBook
    ) -> int:
        state = Subscription.model_validate_json(row["snapshot"])
        due = notices_due(state, day, book)
        if NoticeState.WAITING not in known.values() and not any(
            notice_outbox.is_new(each, known) for each in due
        ):
            return 0
        return await notice_outbox.sync_notices(self._pool, row["subscription_id"], day, book)

    async def _page(self, after: str) -> Sequence[Any]:
        rows: Sequence[Any] = await self._pool.fetch(
            """
            SELECT subscription_id, snapshot FROM subscriptions
             WHERE state IN ('TRIAL', 'SUSPENDED', 'ACTIVE') AND subscription_id > $1
             ORDER BY subscription_id LIMIT $2
            """,
            after,
            _SUBSCRIPTIONS_PER_PAGE,
        )
        return rows
