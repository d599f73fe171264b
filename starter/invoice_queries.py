"""Queries of invoices."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date

from starter.invoices import SUMMARY_COLUMNS as INVOICE_COLUMNS
from starter.invoices import InvoicePage, InvoiceSummary, all_invoices, list_latest
from starter.scoped_queries import ScopedQueries
from subscription.invoice import Invoice
from subscription.refusals import RefusalCode, refusal


class InvoiceQueries(ScopedQueries):
    """Invoices of a customer, or of all."""

    async def invoice(self, number: str) -> Invoice:
        document = await self._pool.fetchval(
            """
            SELECT document FROM invoices
             WHERE number = $1 AND ($2::text IS NULL OR customer_id = $2)
            """,
            number,
            self._customer_id,
        )
        if document is None:
            raise refusal(RefusalCode.INVOICE_NOT_FOUND, "number")
        return Invoice.model_validate_json(document)

    async def invoices(
        self,
        *,
        customer_id: str | None = None,
        month: date | None = None,
        kind: str | None = None,
        after: str = "",
        limit: int = 50,
    ) -> list[Invoice]:
        """Return invoices in the order of their numbers; `month` is the first day of a month."""
        rows = await self._pool.fetch(
            """
            SELECT document FROM invoices
             WHERE ($1::text IS NULL OR customer_id = $1) AND ($6::text IS NULL OR customer_id = $6)
               AND ($2::date IS NULL OR month = $2) AND ($5::text IS NULL OR document ->> 'kind' = $5)
               AND number > $3
             ORDER BY number LIMIT $4
            """,
            self._customer_id,
            month,
            after,
            limit,
            kind,
            customer_id,
        )
        return [Invoice.model_validate_json(row["document"]) for row in rows]

    def all_invoices(self, *, customer_id: str | None = None) -> AsyncIterator[Sequence[InvoiceSummary]]:
        """Yield all invoices in batches, the latest number first."""
        return all_invoices(self._pool, scope=self._customer_id, customer_id=customer_id)

    async def latest_invoices(
        self, *, customer_id: str | None = None, before: str = "", limit: int = 50
    ) -> InvoicePage:
        """Return the invoices with numbers below `before` (empty: all), the latest number first."""
        return await list_latest(
            self._pool, scope=self._customer_id, customer_id=customer_id, before=before, limit=limit
        )

    async def invoices_by_entry(self, subscription_id: str) -> Mapping[str, InvoiceSummary]:
        """Return the invoice of each invoiced ledger line and adjustment of a subscription, by its key."""
        rows = await self._rows_of(
            subscription_id,
            f"entry_key, {INVOICE_COLUMNS}",
            """
            LEFT JOIN (
                SELECT subscription_id, line_key(subscription_id, kind, first_day) AS key FROM ledger_lines
                UNION ALL
                SELECT subscription_id, subscription_id || '/ADJUSTMENT/' || adjustment_id
                  FROM ledger_adjustments
            ) AS charge USING (subscription_id)
            LEFT JOIN invoice_entries ON entry_key = charge.key
            LEFT JOIN invoices USING (number)
            """,
        )
        return {
            row["entry_key"]: InvoiceSummary.model_validate(
                {name: row[name] for name in InvoiceSummary.model_fields}
            )
            for row in rows
        }
