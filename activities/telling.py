"""Telling: what is due on a day goes into the outbox, read from the record page by page."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from temporalio import activity

from activities import outbox
from activities.boundary import Batch
from activities.catalogues import price_book
from activities.database import Pool
from subscription.catalogue import PriceBook
from subscription.notices import NoticeKey, notices_due
from subscription.outbox import NoticeState, NoticesTold, TellNotices
from subscription.state import Subscription

_PAGE = 500


class TellingActivities:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @activity.defn
    async def tell_notices(self, wanted: TellNotices) -> NoticesTold:
        """Fill the outbox for a page of subscriptions; done again, it adds nothing."""
        page = await self._page(wanted.after)
        book = await price_book(self._pool)
        known = await outbox.states(self._pool, [row["subscription_id"] for row in page])
        batch, told = Batch("notices"), 0
        for row in page:
            activity.heartbeat()
            await asyncio.sleep(0)  # others work in this process too
            subscription_id = row["subscription_id"]
            step = self._tell(row, known[subscription_id], wanted.day, book)
            told += await batch.alone(subscription_id, step) or 0
        return NoticesTold(
            told=told,
            failed=tuple(batch.failures),
            next_after=page[-1]["subscription_id"] if len(page) == _PAGE else None,
        )

    async def _tell(
        self, row: Any, known: Mapping[NoticeKey, NoticeState], day: date, book: PriceBook
    ) -> int:
        state = Subscription.model_validate_json(row["snapshot"])
        due = notices_due(state, day, book)
        if NoticeState.WAITING not in known.values() and not any(outbox.is_new(each, known) for each in due):
            return 0
        return await outbox.bring_up_to_date(self._pool, row["subscription_id"], day, book)

    async def _page(self, after: str) -> Sequence[Any]:
        rows: Sequence[Any] = await self._pool.fetch(
            """
            SELECT subscription_id, snapshot FROM subscriptions
             WHERE state IN ('TRIAL', 'SUSPENDED', 'ACTIVE') AND subscription_id > $1
             ORDER BY subscription_id LIMIT $2
            """,
            after,
            _PAGE,
        )
        return rows
