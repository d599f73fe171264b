"""Activity that queues the notices of a day. The workers send them (`adapters/email/dispatcher.py`)."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from temporalio import activity

from activities.batch import Batch
from adapters.email.notice_emails import NoticeEmails
from adapters.postgres import notice_outbox
from adapters.postgres.notice_outbox import RowKey
from adapters.postgres.pool import Pool
from adapters.postgres.price_book_repository import load_price_book
from subscription.catalogue import PriceBook
from subscription.notice_outbox import NoticeState, QueueNoticesInput, QueueNoticesResult
from subscription.notices import notices_due, recipients
from subscription.state import Subscription

NO_SERVER = "no mail server is set: WORKSUB_SMTP_URL"

_SUBSCRIPTIONS_PER_PAGE = 500


class NotificationActivities:
    """Without a mail server (`sends` is False), notices are only stored, and other systems read them."""

    def __init__(self, pool: Pool, emails: NoticeEmails, *, sends: bool) -> None:
        self._pool = pool
        self._emails = emails
        self._sends = sends

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
        failed = tuple(batch.failures)
        if len(page) == _SUBSCRIPTIONS_PER_PAGE:
            return QueueNoticesResult(queued=queued, failed=failed, next_after=page[-1]["subscription_id"])
        if not self._sends:
            await notice_outbox.set_waiting_reason(self._pool, NO_SERVER)
        waiting = (await notice_outbox.queue_depth(self._pool)).count
        return QueueNoticesResult(
            queued=queued, failed=failed, next_after=None, waiting=waiting, no_server=not self._sends
        )

    async def _queue(self, row: Any, known: Mapping[RowKey, NoticeState], day: date, book: PriceBook) -> int:
        state = Subscription.model_validate_json(row["snapshot"])
        due = notices_due(state, day, book)
        is_known = not any(
            notice_outbox.is_new(notice.key, addressee, known)
            for notice in due
            for addressee in recipients(notice.state, row["contact_email"], book.notice_policy)
        )
        if is_known and NoticeState.WAITING not in known.values():
            return 0
        return await notice_outbox.sync_notices(self._pool, row["subscription_id"], day, book, self._emails)

    async def _page(self, after: str) -> Sequence[Any]:
        rows: Sequence[Any] = await self._pool.fetch(
            """
            SELECT subscription_id, snapshot, contact_email
              FROM subscriptions LEFT JOIN companies USING (subscription_id)
             WHERE state IN ('TRIAL', 'SUSPENDED', 'ACTIVE') AND subscription_id > $1
             ORDER BY subscription_id LIMIT $2
            """,
            after,
            _SUBSCRIPTIONS_PER_PAGE,
        )
        return rows
