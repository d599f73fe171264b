"""Queries of what is recorded about a subscription: timeline, ledger, adjustments, entitlements."""

from datetime import datetime

from adapters.postgres.price_book_repository import (
    PLAN_FUNCTIONS_COLUMN,
    PRICE_BOOK_COLUMN,
    plan_functions_from_row,
    price_book_from_row,
)
from adapters.postgres.recorded_timeline import ENTRY_COLUMNS, entry_from_row
from adapters.postgres.workspace_provisioner import MEMBERS_IN_USE_COLUMN
from starter.recorded_state_queries import RecordedStateQueries
from subscription.activity_contracts import CustomerEvent
from subscription.adjustment import Adjustment, adjustment_key
from subscription.business_calendar import KST, day_of
from subscription.entitlements import Entitlements, entitlements_of
from subscription.event_documents import event_from_json, line_from_json
from subscription.events import Event
from subscription.explain import Explanation, explain
from subscription.ledger import LedgerLine
from subscription.refusals import RefusalCode, refusal
from subscription.state import Subscription
from subscription.timeline import RecordedEntry


class RecordQueries(RecordedStateQueries):
    """The record of a subscription, and the events of a customer."""

    async def entitlements(self, subscription_id: str) -> Entitlements:
        """Return what the product grants to the subscription, from its last recorded state (R36)."""
        [row] = await self._rows_of(
            subscription_id,
            f"snapshot, {PRICE_BOOK_COLUMN}, {PLAN_FUNCTIONS_COLUMN}, {MEMBERS_IN_USE_COLUMN}",
        )
        return entitlements_of(
            Subscription.model_validate_json(row["snapshot"]),
            price_book_from_row(row),
            plan_functions_from_row(row),
            row["members_in_use"],
            day_of(datetime.now(KST)),
        )

    async def timeline(
        self, subscription_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[RecordedEntry]:
        """Return the timeline entries after the event with the number `after`, in order.

        Customers see the operators as one issuer without a name.
        """
        rows = await self._rows_of(
            subscription_id,
            "entry.*",
            f"""
            LEFT JOIN LATERAL (
                SELECT {ENTRY_COLUMNS}, channel, issued_by AS by
                  FROM lifecycle_events LEFT JOIN event_private_data USING (subscription_id, sequence)
                 WHERE subscription_id = $1 AND sequence > $3 ORDER BY sequence LIMIT $4) AS entry ON true
            """,  # noqa: S608 - a constant
            after,
            limit,
            order="entry.sequence",
        )
        entries = [entry_from_row(RecordedEntry, subscription_id, row) for row in rows]
        if self._customer_id is None:
            return entries
        return [entry.shown_to_customer() for entry in entries]

    async def history(self, subscription_id: str) -> list[Event]:
        """Return the events without personal data; `timeline` returns the same events as text."""
        rows = await self._rows_of(
            subscription_id,
            "detail",
            "LEFT JOIN lifecycle_events AS event USING (subscription_id)",
            order="event.sequence",
        )
        return [event_from_json(subscription_id, row["detail"]) for row in rows]

    async def ledger(self, subscription_id: str) -> list[LedgerLine]:
        rows = await self._rows_of(
            subscription_id,
            "line, charge.effective_at",
            "LEFT JOIN ledger AS charge USING (subscription_id)",
            order="charge.sequence, position",
        )
        return [line_from_json(subscription_id, row["effective_at"], row["line"]) for row in rows]

    async def explain(self, subscription_id: str, key: str | None = None) -> list[Explanation]:
        """Explain the calculation of every ledger line, or of the line with this key."""
        lines = [line for line in await self.ledger(subscription_id) if key in (None, line.key)]
        if key is not None and not lines:
            raise refusal(RefusalCode.LINE_NOT_FOUND, "key")
        return [explain(line) for line in lines]

    async def adjustments(self, subscription_id: str) -> list[Adjustment]:
        """Return the compensating ledger lines, in the order of their creation."""
        rows = await self._rows_of(
            subscription_id,
            "adjustment_id, line_key(subscription_id, line_kind, line_first_day) AS corrects, "
            "amount, reason, reference, effective_at",
            "LEFT JOIN ledger_adjustments USING (subscription_id)",
            order="effective_at, adjustment_id",
        )
        return [
            Adjustment(
                key=adjustment_key(subscription_id, row["adjustment_id"]),
                corrects=row["corrects"],
                amount=row["amount"],
                reason=row["reason"],
                reference=row["reference"],
                effective_at=row["effective_at"],
            )
            for row in rows
        ]

    async def has_adjusted(self, subscription_id: str, adjustment_id: str) -> bool:
        self._check_operator()
        adjusted: bool | None = await self._pool.fetchval(
            "SELECT true FROM ledger_adjustments WHERE subscription_id = $1 AND adjustment_id = $2",
            subscription_id,
            adjustment_id,
        )
        return bool(adjusted)

    async def customer_events(
        self,
        customer_id: str | None = None,
        *,
        after: int = 0,
        limit: int = 50,
        event: str | None = None,
        subscription_id: str | None = None,
    ) -> list[CustomerEvent]:
        """Return the events of all subscriptions of a customer, in the order of recording.

        Operators must name the customer.
        """
        owner = self._customer_id or customer_id
        if owner is None:
            raise refusal(RefusalCode.MISSING_FIELD, "customer_id", reason="CUSTOMER")
        rows = await self._pool.fetch(
            """
            SELECT number, subscription_id, sequence, effective_at, event, state, detail
              FROM customer_events JOIN lifecycle_events USING (subscription_id, sequence)
             WHERE customer_id = $1 AND ($6::text IS NULL OR customer_id = $6)
               AND number > $2 AND ($4::text IS NULL OR event = $4)
               AND ($5::text IS NULL OR subscription_id = $5)
             ORDER BY number LIMIT $3
            """,
            owner,
            after,
            limit,
            event,
            subscription_id,
            customer_id,
        )
        await self._check_filter(subscription_id, rows)
        return [entry_from_row(CustomerEvent, row["subscription_id"], row) for row in rows]
