"""Queries of the journal, for operators."""

from collections.abc import AsyncGenerator
from datetime import date

from starter.scoped_queries import ScopedQueries
from subscription.adjustment import adjustment_key
from subscription.business_calendar import YEARS, first_of_next_month, start_of
from subscription.invoice import Invoice
from subscription.journal import JournalLine, adjustment_lines, charge_lines, invoice_lines
from subscription.ledger import LineKind

_CHARGES = """
    SELECT line_key(subscription_id, kind, first_day) AS key, kind, amount, end_day, effective_at,
           subscription_id, customer_id
      FROM ledger_lines
     WHERE (kind = 'SERVICE_FEE' AND end_day > $1 AND end_day <= $2)
        OR (kind <> 'SERVICE_FEE' AND effective_at >= $3 AND effective_at < $4)
     ORDER BY customer_id, subscription_id, sequence, first_day, kind
"""
_ADJUSTMENTS = """
    SELECT adjustment_id, amount, effective_at, subscription_id, customer_id FROM ledger_adjustments
     WHERE effective_at >= $1 AND effective_at < $2
     ORDER BY customer_id, subscription_id, effective_at, adjustment_id
"""
_INVOICES = "SELECT document FROM invoices WHERE issued_on >= $1 AND issued_on < $2 ORDER BY number"


_ROWS_AT_A_TIME = 1_000


class JournalQueries(ScopedQueries):
    """The journal of all customers."""

    async def journal(self, month: date) -> AsyncGenerator[JournalLine]:
        """Yield the journal of a month, given by its first day: charges, adjustments, then invoices.

        All lines are of one database snapshot. Cursors read the rows, so the memory does not grow.
        """
        self._check_operator()
        if month.year not in YEARS:
            return
        following = first_of_next_month(month)
        first, end = start_of(month), start_of(following)
        async with self._pool.snapshot() as connection:
            async for row in connection.cursor(
                _CHARGES, month, following, first, end, prefetch=_ROWS_AT_A_TIME
            ):
                for line in charge_lines(
                    row["key"],
                    LineKind(row["kind"]),
                    row["amount"],
                    end_day=row["end_day"],
                    effective_at=row["effective_at"],
                    subscription_id=row["subscription_id"],
                    customer_id=row["customer_id"],
                ):
                    yield line
            async for row in connection.cursor(_ADJUSTMENTS, first, end, prefetch=_ROWS_AT_A_TIME):
                for line in adjustment_lines(
                    adjustment_key(row["subscription_id"], row["adjustment_id"]),
                    row["amount"],
                    effective_at=row["effective_at"],
                    subscription_id=row["subscription_id"],
                    customer_id=row["customer_id"],
                ):
                    yield line
            async for row in connection.cursor(_INVOICES, month, following):
                for line in invoice_lines(Invoice.model_validate_json(row["document"])):
                    yield line
