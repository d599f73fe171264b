"""Activity that issues one page of invoices, each in its own transaction, without number gaps."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.batch import Batch
from adapters.postgres.pool import Connection, Pool
from adapters.postgres.price_book_repository import load_price_book
from subscription.adjustment import adjustment_key
from subscription.catalogue import InvoicePolicy
from subscription.event_documents import line_from_json
from subscription.invoice import (
    CorrectedInvoice,
    Invoice,
    InvoicedAdjustment,
    InvoicedLine,
    InvoicedSubscription,
    InvoicesIssued,
    IssueInvoices,
    by_subscription,
    cutoff_of,
    invoice_for,
    invoice_number,
)
from subscription.refusals import Refusal, RefusalCode
from subscription.vat_estimate import invoice_policy

_CUSTOMERS_A_PAGE = 100


class InvoicingActivities:
    """`allow_test_clock` permits invoices dated by a test clock. Never set it in production."""

    def __init__(self, pool: Pool, *, allow_test_clock: bool = False) -> None:
        self._pool = pool
        self._allow_test_clock = allow_test_clock

    @activity.defn
    async def issue_invoices(self, input: IssueInvoices) -> InvoicesIssued:
        """Issue the invoices of a page of customers; skip customers with an invoice for the month."""
        if input.by_test_clock and not self._allow_test_clock:
            refused = Refusal.of(RefusalCode.NO_TEST_CLOCK, "as_of", reason="INVOICES")
            raise ApplicationError(refused.message, refused, type=refused.code, non_retryable=True)
        policy = await self._policy(input.month)
        page = await self._page(input)
        batch, totals = Batch("invoices"), []
        for customer_id in await self._with_open_entries(page, input.month):
            invoice = await batch.run_member(customer_id, self._issue(customer_id, input, policy))
            totals += [invoice.total] if invoice else []
            activity.heartbeat()
        full = len(page) == _CUSTOMERS_A_PAGE
        return InvoicesIssued(
            issued=len(totals),
            total=sum(totals),
            failed=tuple(batch.failures),
            next_after=page[-1] if full else None,
        )

    async def _policy(self, month: date) -> InvoicePolicy:
        return invoice_policy(month, await load_price_book(self._pool))

    async def _page(self, input: IssueInvoices) -> list[str]:
        """Return the next customers with ledger lines. An index-only scan, independent of ledger length."""
        rows = await self._pool.fetch(
            """
            SELECT DISTINCT customer_id FROM ledger_lines
             WHERE customer_id > $1 AND ($3::text IS NULL OR customer_id = $3)
             ORDER BY customer_id LIMIT $2
            """,
            input.after,
            _CUSTOMERS_A_PAGE,
            input.customer_id,
        )
        return [row["customer_id"] for row in rows]

    async def _with_open_entries(self, customers: Sequence[str], month: date) -> list[str]:
        """Return customers without an invoice for the month who have entries on no invoice."""
        rows = await self._pool.fetch(
            """
            SELECT customer_id FROM unnest($3::text[]) AS page (customer_id)
             WHERE NOT EXISTS (SELECT 1 FROM invoices
                                WHERE invoices.customer_id = page.customer_id AND month = $2)
               AND (EXISTS (SELECT 1 FROM ledger_lines AS line
                             WHERE line.customer_id = page.customer_id
                               AND (effective_at < $1 OR effective_at = $1 AND kind = 'SERVICE_FEE')
                               AND NOT EXISTS
                                   (SELECT 1 FROM invoice_entries
                                     WHERE entry_key = line_key(subscription_id, kind, first_day)))
                 OR EXISTS (SELECT 1 FROM ledger_adjustments AS made
                             WHERE made.customer_id = page.customer_id AND effective_at < $1
                               AND NOT EXISTS
                                   (SELECT 1 FROM invoice_entries
                                     WHERE entry_key = subscription_id || '/ADJUSTMENT/' || adjustment_id)))
             ORDER BY customer_id
            """,
            cutoff_of(month),
            month,
            customers,
        )
        return [row["customer_id"] for row in rows]

    async def _issue(self, customer_id: str, input: IssueInvoices, policy: InvoicePolicy) -> Invoice | None:
        async with self._pool.acquire() as connection, connection.transaction():
            # Concurrent calls serialize on the counter of their year. Two runs around New Year use different
            # counters, and serialize on the row of the customer.
            sequence = await _next_number(connection, input.issued_on.year)
            await connection.execute(
                "SELECT FROM customer_event_counters WHERE customer_id = $1 FOR UPDATE", customer_id
            )
            if await _is_issued(connection, customer_id, input.month):
                return None
            subscriptions = await _open_entries(connection, customer_id, input.month)
            if not subscriptions:
                return None
            earlier = await invoice_numbers(connection, customer_id)
            invoice = invoice_for(
                customer_id,
                input.month,
                subscriptions,
                number=invoice_number(input.issued_on.year, sequence),
                issued_on=input.issued_on,
                vat_percent=policy.vat_percent,
                supplier=policy.supplier,
                corrected=await corrected_invoices(connection, subscriptions, earlier),
            )
            await _increment_counter(connection, input.issued_on.year)
            await _insert(connection, invoice)
            return invoice


async def _next_number(connection: Connection, year: int) -> int:
    await connection.execute(
        "INSERT INTO invoice_counters (year, last) VALUES ($1, 0) ON CONFLICT DO NOTHING", year
    )
    last: int = await connection.fetchval(
        "SELECT last FROM invoice_counters WHERE year = $1 FOR UPDATE", year
    )
    return last + 1


async def _increment_counter(connection: Connection, year: int) -> None:
    await connection.execute("UPDATE invoice_counters SET last = last + 1 WHERE year = $1", year)


async def _is_issued(connection: Connection, customer_id: str, month: date) -> bool:
    return bool(
        await connection.fetchval(
            "SELECT 1 FROM invoices WHERE customer_id = $1 AND month = $2", customer_id, month
        )
    )


async def _open_entries(
    connection: Connection, customer_id: str, month: date
) -> tuple[InvoicedSubscription, ...]:
    """Return the customer's ledger lines and adjustments up to the month's end that are on no invoice."""
    lines = await connection.fetch(
        """
        SELECT subscription_id, effective_at, line FROM ledger
         WHERE customer_id = $1 AND (effective_at < $2 OR effective_at = $2 AND kind = 'SERVICE_FEE')
           AND NOT EXISTS (SELECT 1 FROM invoice_entries WHERE entry_key = key)
         ORDER BY subscription_id, sequence, position
        """,
        customer_id,
        cutoff_of(month),
    )
    adjustments = await connection.fetch(
        """
        SELECT subscription_id, adjustment_id,
               line_key(subscription_id, line_kind, line_first_day) AS corrects, amount, reason, reference
          FROM ledger_adjustments
         WHERE customer_id = $1 AND effective_at < $2
           AND NOT EXISTS (SELECT 1 FROM invoice_entries
                            WHERE entry_key = subscription_id || '/ADJUSTMENT/' || adjustment_id)
         ORDER BY subscription_id, effective_at, adjustment_id
        """,
        customer_id,
        cutoff_of(month),
    )
    return by_subscription(
        [
            *((row["subscription_id"], _line(row)) for row in lines),
            *((row["subscription_id"], _adjustment(row)) for row in adjustments),
        ]
    )


async def corrected_invoices(
    connection: Connection, subscriptions: Sequence[InvoicedSubscription], earlier: Sequence[str]
) -> list[CorrectedInvoice]:
    """Return the invoices that the adjustments in `subscriptions` correct, with their remaining amounts.

    `earlier` are the numbers of the customer's earlier invoices; entries on other invoices do not count.
    """
    changes: dict[str, int] = {}
    for entry in (entry for subscription in subscriptions for entry in subscription.entries):
        if isinstance(entry, InvoicedAdjustment):
            changes[entry.corrects] = changes.get(entry.corrects, 0) + entry.amount
    if not changes:
        return []
    rows = await connection.fetch(
        """
        WITH corrected AS (
            SELECT number, array_agg(entry_key) AS keys FROM invoice_entries
             WHERE entry_key = ANY ($1) AND number = ANY ($2) GROUP BY number
        ), line AS (
            SELECT number, charge.* FROM corrected
              JOIN invoice_entries USING (number), line_of_key(entry_key) AS charge
        )
        SELECT number, keys, (document ->> 'vat_percent')::int AS vat_percent,
               (SELECT sum(amount)::bigint FROM line WHERE line.number = corrected.number)
               + (SELECT coalesce(sum(made.amount), 0)::bigint
                    FROM line
                    JOIN ledger_adjustments AS made
                      ON (made.subscription_id, line_kind, line_first_day)
                         = (line.subscription_id, kind, first_day)
                    JOIN invoice_entries AS entry
                      ON entry_key = made.subscription_id || '/ADJUSTMENT/' || made.adjustment_id
                   WHERE line.number = corrected.number AND entry.number = ANY ($2)) AS supply
          FROM corrected JOIN invoices USING (number) ORDER BY number
        """,
        list(changes),
        list(earlier),
    )
    return [
        CorrectedInvoice(
            number=row["number"],
            vat_percent=row["vat_percent"],
            supply_before=row["supply"],
            supply_after=row["supply"] + sum(changes[key] for key in row["keys"]),
        )
        for row in rows
    ]


async def invoice_numbers(connection: Connection, customer_id: str) -> list[str]:
    """Return the numbers of all invoices of a customer."""
    rows = await connection.fetch("SELECT number FROM invoices WHERE customer_id = $1", customer_id)
    return [row["number"] for row in rows]


def _line(row: Any) -> InvoicedLine:
    return InvoicedLine.of(line_from_json(row["subscription_id"], row["effective_at"], row["line"]))


def _adjustment(row: Any) -> InvoicedAdjustment:
    return InvoicedAdjustment(
        key=adjustment_key(row["subscription_id"], row["adjustment_id"]),
        corrects=row["corrects"],
        reason=row["reason"],
        reference=row["reference"],
        amount=row["amount"],
    )


async def _insert(connection: Connection, invoice: Invoice) -> None:
    await connection.execute(
        """
        INSERT INTO invoices (number, customer_id, month, issued_on, supply, vat, total, document)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        invoice.number,
        invoice.customer_id,
        invoice.month,
        invoice.issued_on,
        invoice.supply_amount,
        invoice.vat_amount,
        invoice.total,
        invoice.model_dump_json(),
    )
    entries: Sequence[tuple[str, str]] = [(key, invoice.number) for key in invoice.keys]
    await connection.executemany("INSERT INTO invoice_entries (entry_key, number) VALUES ($1, $2)", entries)
