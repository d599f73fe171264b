"""Queries of sent and waiting notices."""

from starter.scoped_queries import ScopedQueries
from subscription.notice_outbox import NoticeKind, NoticeState, OutboxNotice
from subscription.refusals import RefusalCode, refusal


class NoticeQueries(ScopedQueries):
    """Notices of subscriptions."""

    async def notice(self, number: int) -> OutboxNotice:
        notices = await self._notices("number = $2", number)
        if not notices:
            raise refusal(RefusalCode.NOTICE_NOT_FOUND, "number")
        return notices[0]

    async def notices(
        self,
        *,
        state: NoticeState | None = None,
        kind: NoticeKind | None = None,
        subscription_id: str | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> list[OutboxNotice]:
        """Return sent and waiting notices in the order of their numbers."""
        notices = await self._notices(
            """
            ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR notices.subscription_id = $3)
               AND ($4::text IS NULL OR kind = $4) AND number > $5
             ORDER BY number LIMIT $6
            """,
            state,
            subscription_id,
            kind,
            after,
            limit,
        )
        await self._check_filter(subscription_id, notices)
        return notices

    async def latest_notices(
        self, subscription_id: str, *, before: int | None = None, limit: int = 50
    ) -> list[OutboxNotice]:
        """Return the notices of a subscription, the latest first; with `before`, those with lower numbers."""
        notices = await self._notices(
            """
            notices.subscription_id = $2 AND ($3::bigint IS NULL OR number < $3)
             ORDER BY number DESC LIMIT $4
            """,
            subscription_id,
            before,
            limit,
        )
        await self._check_filter(subscription_id, notices)
        return notices

    async def _notices(self, condition: str, *arguments: object) -> list[OutboxNotice]:
        rows = await self._pool.fetch(
            f"""
            SELECT number, notices.subscription_id, customer_id, kind, event_date, threshold_days, sequence,
                   addressee, state, attempts, last_error, queued_at, completed_at, recipient, subject, body,
                   CASE WHEN state = 'WAITING' THEN next_attempt_at END AS next_attempt_at
              FROM notices LEFT JOIN notice_emails USING (number)
             WHERE ($1::text IS NULL OR customer_id = $1) AND {condition}
            """,  # noqa: S608 - the callers are those above
            self._customer_id,
            *arguments,
        )
        return [OutboxNotice.model_validate(dict(row)) for row in rows]
