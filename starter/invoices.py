"""Lists of invoices without their entries, newest first."""

from collections.abc import AsyncIterator, Sequence

from adapters.postgres.read_only_pool import ReadOnlyPool
from subscription.business_calendar import Day
from subscription.invoice import InvoiceKind
from subscription.model import Frozen

SUMMARY_COLUMNS = (
    "invoices.number, document ->> 'kind' AS kind, invoices.customer_id, month, issued_on, "
    "supply AS supply_amount, vat AS vat_amount, total"
)
_BATCH = 500


class InvoiceSummary(Frozen):
    """The amounts of an invoice in whole KRW, as recorded."""

    number: str
    kind: InvoiceKind
    customer_id: str
    month: Day
    issued_on: Day
    supply_amount: int
    vat_amount: int
    total: int


class InvoicePage(Frozen):
    """A page of invoices. `next_cursor` is the cursor of the next page; None on the last page."""

    invoices: tuple[InvoiceSummary, ...]
    next_cursor: str | None


async def list_latest(
    pool: ReadOnlyPool, *, scope: str | None, customer_id: str | None, before: str, limit: int
) -> InvoicePage:
    """Return the invoices with numbers below `before` (empty: all), the latest number first.

    `scope` is the customer whose invoices the caller may read, None for an operator. `customer_id` filters.
    """
    if scope is not None and customer_id not in (None, scope):
        return InvoicePage(invoices=(), next_cursor=None)
    customer = customer_id if scope is None else scope
    # Two statements: a generic plan for both would read the invoices of all customers, by number.
    condition, values = ("AND customer_id = $3", (customer,)) if customer is not None else ("", ())
    rows = await pool.fetch(
        f"""
        SELECT {SUMMARY_COLUMNS} FROM invoices
         WHERE ($1 = '' OR number < $1) {condition}
         ORDER BY number DESC LIMIT $2
        """,  # noqa: S608 - constants
        before,
        limit + 1,
        *values,
    )
    found = [InvoiceSummary.model_validate(dict(row)) for row in rows]
    return InvoicePage(
        invoices=tuple(found[:limit]), next_cursor=found[limit - 1].number if len(found) > limit else None
    )


async def all_invoices(
    pool: ReadOnlyPool, *, scope: str | None, customer_id: str | None
) -> AsyncIterator[Sequence[InvoiceSummary]]:
    """Yield all invoices in batches. No connection is held while the consumer processes a batch."""
    before: str | None = ""
    while before is not None:
        page = await list_latest(pool, scope=scope, customer_id=customer_id, before=before, limit=_BATCH)
        yield page.invoices
        before = page.next_cursor
