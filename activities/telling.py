"""Telling: what is due on a day goes into the outbox, read from the record page by page."""

import asyncio

from temporalio import activity

from activities import outbox
from activities.catalogues import price_book
from activities.database import Pool
from subscription.notices import notices_due
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
        known = await outbox.states(self._pool, [state.subscription_id for state in page])
        told = 0
        for state in page:
            activity.heartbeat()
            await asyncio.sleep(0)  # others work in this process too
            states, due = known[state.subscription_id], notices_due(state, wanted.day, book)
            if NoticeState.WAITING in states.values() or any(outbox.is_new(each, states) for each in due):
                told += await outbox.bring_up_to_date(self._pool, state.subscription_id, wanted.day, book)
        return NoticesTold(told=told, next_after=page[-1].subscription_id if len(page) == _PAGE else None)

    async def _page(self, after: str) -> list[Subscription]:
        rows = await self._pool.fetch(
            """
            SELECT snapshot FROM subscriptions
             WHERE state IN ('TRIAL', 'SUSPENDED', 'ACTIVE') AND subscription_id > $1
             ORDER BY subscription_id LIMIT $2
            """,
            after,
            _PAGE,
        )
        return [Subscription.model_validate_json(row["snapshot"]) for row in rows]
