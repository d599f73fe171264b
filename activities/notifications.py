"""Activities that queue notices and deliver them by email.

If the worker dies after the mail server has accepted an email and before the notice is marked as sent, the
email is sent again with the same message ID.
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
from adapters.postgres.pool import Pool
from subscription.catalogue import PriceBook
from subscription.notice_outbox import (
    DeliverNoticesInput,
    DeliverNoticesResult,
    NoticeState,
    QueueNoticesInput,
    QueueNoticesResult,
)
from subscription.notices import NoticeKey, notices_due
from subscription.state import Subscription

NO_SERVER = "no mail server is set: WORKSUB_SMTP_URL"

_SUBSCRIPTIONS_PER_PAGE = 500
_NOTICES_PER_PAGE = 100
_NOTICES_PER_PAGE_SECONDS = 240
_MAX_CONSECUTIVE_INTERRUPTIONS = 3
_PAUSE_AFTER_UNEXPECTED_ERROR = timedelta(hours=1)


class _Outcome(Enum):
    SENT = auto()
    UNDELIVERABLE = auto()
    DEFERRED = auto()
    INTERRUPTED = auto()
    SKIPPED = auto()
    """Another worker has claimed the notice, or it has expired."""


class NotificationActivities:
    """`server` is None if notices are only stored, and other systems read them."""

    def __init__(self, pool: Pool, server: MailServer | None) -> None:
        self._pool = pool
        self._server = server

    @activity.defn
    async def deliver_notices(self, input: DeliverNoticesInput) -> DeliverNoticesResult:
        """Send a page of due notices. A notice that no longer applies expires instead."""
        if self._server is None:
            await notice_outbox.set_waiting_reason(self._pool, NO_SERVER)
            return DeliverNoticesResult(
                waiting=(await notice_outbox.queue_depth(self._pool)).count, no_server=True
            )
        outcomes: Counter[_Outcome] = Counter()
        batch, trouble = Batch("notices"), None
        try:
            async with SmtpSender(self._server) as sender:
                await self._deliver(sender, input.day, outcomes, batch)
        except SmtpServerError as error:
            trouble = str(error)
            await notice_outbox.set_waiting_reason(self._pool, trouble)
        depth = await notice_outbox.queue_depth(self._pool)
        attempted = outcomes.total() > outcomes[_Outcome.SKIPPED]
        is_next_due = depth.next_in_seconds is not None and depth.next_in_seconds <= 0
        return DeliverNoticesResult(
            sent=outcomes[_Outcome.SENT],
            undeliverable=outcomes[_Outcome.UNDELIVERABLE],
            waiting=depth.count,
            more=attempted and is_next_due and trouble is None,
            trouble=trouble,
            failed=tuple(batch.failures),
            next_in_seconds=depth.next_in_seconds,
        )

    async def _deliver(
        self, sender: SmtpSender, day: date, outcomes: Counter[_Outcome], batch: Batch
    ) -> None:
        book = await load_price_book(self._pool)
        clock = asyncio.get_running_loop()
        ends_at, interrupted = clock.time() + _NOTICES_PER_PAGE_SECONDS, 0
        for number, subscription_id in await notice_outbox.due_notices(self._pool, _NOTICES_PER_PAGE):
            activity.heartbeat()
            if clock.time() > ends_at:
                return
            if (
                outcome := await self._deliver_one(sender, number, subscription_id, day, book, batch)
            ) is None:
                continue
            outcomes[outcome] += 1
            # One interrupted email may be the fault of that email; several in a row are the server's fault.
            interrupted = interrupted + 1 if outcome is _Outcome.INTERRUPTED else 0
            if interrupted == _MAX_CONSECUTIVE_INTERRUPTIONS:
                raise SmtpServerError("the mail server repeatedly closes the connection")

    async def _deliver_one(
        self, sender: SmtpSender, number: int, subscription_id: str, day: date, book: PriceBook, batch: Batch
    ) -> _Outcome | None:
        """Attempt one notice. On an unexpected error, reschedule it and return None."""

        async def attempt() -> _Outcome:
            await notice_outbox.sync_notices(self._pool, subscription_id, day, book)
            await sender.ready()
            return await self._attempt(sender, number)

        before = len(batch.failures)
        outcome = await batch.run_member(subscription_id, attempt(), of_all=(SmtpServerError,))
        if len(batch.failures) > before:
            reason = f"unexpected error ({batch.failures[-1].error})"
            async with self._pool.acquire() as connection:
                await notice_outbox.reschedule(connection, number, _PAUSE_AFTER_UNEXPECTED_ERROR, reason)
        return outcome

    async def _attempt(self, sender: SmtpSender, number: int) -> _Outcome:
        assert self._server is not None
        async with notice_outbox.claim(self._pool, number) as (connection, notice):
            if notice is None:
                return _Outcome.SKIPPED
            try:
                message = build_message(notice.email, self._server.sender, notice.name)
                await sender.send(message, notice.email.recipient)
            except SmtpRejectedError as error:
                given_up = await notice_outbox.record_failure(
                    connection, notice, str(error), is_permanent=error.for_good
                )
                return _Outcome.UNDELIVERABLE if given_up else _Outcome.DEFERRED
            except SmtpConnectionLostError as error:
                given_up = await notice_outbox.record_failure(
                    connection, notice, str(error), is_permanent=False
                )
                return _Outcome.UNDELIVERABLE if given_up else _Outcome.INTERRUPTED
            await notice_outbox.mark_sent(connection, number)
            return _Outcome.SENT

    @activity.defn
    async def queue_notices(self, input: QueueNoticesInput) -> QueueNoticesResult:
        """Queue the due notices of a page of subscriptions. Repeating it adds nothing."""
        page = await self._page(input.after)
        book = await load_price_book(self._pool)
        known = await notice_outbox.states(self._pool, [row["subscription_id"] for row in page])
        batch, queued = Batch("notices"), 0
        for row in page:
            activity.heartbeat()
            await asyncio.sleep(0)  # let other tasks of this process run
            subscription_id = row["subscription_id"]
            step = self._queue(row, known[subscription_id], input.day, book)
            queued += await batch.run_member(subscription_id, step) or 0
        return QueueNoticesResult(
            queued=queued,
            failed=tuple(batch.failures),
            next_after=page[-1]["subscription_id"] if len(page) == _SUBSCRIPTIONS_PER_PAGE else None,
        )

    async def _queue(
        self, row: Any, known: Mapping[NoticeKey, NoticeState], day: date, book: PriceBook
    ) -> int:
        state = Subscription.model_validate_json(row["snapshot"])
        due = notices_due(state, day, book)
        if NoticeState.WAITING not in known.values() and not any(
            notice_outbox.is_new(notice, known) for notice in due
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
