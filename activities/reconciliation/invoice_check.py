"""Check invoice numbers, totals and entries against the ledger."""

import re
from collections.abc import Iterator, Mapping, Sequence

import asyncpg

from activities.invoicing import corrected_invoices, invoice_numbers
from activities.reconciliation.record_snapshot import Row
from adapters.postgres.pool import Connection, Pool
from subscription.invoice import Invoice, invoice_for, invoice_number
from subscription.reconciliation import Finding, FindingCode

_PAGE_SIZE = 200
_NUMBER = re.compile(r"[0-9]{4}-[0-9]{1,18}")

_CHARGES_SQL = """
    SELECT key, customer_id, amount FROM unnest($1::text[]) AS wanted (key), line_of_key(key)
     UNION ALL
    SELECT subscription_id || '/ADJUSTMENT/' || adjustment_id, customer_id, amount
      FROM ledger_adjustments
      JOIN unnest($2::text[], $3::text[]) AS wanted (subscription_id, adjustment_id)
           USING (subscription_id, adjustment_id)
"""


async def invoice_findings(pool: Pool, after: str) -> tuple[list[Finding], str | None]:
    """Return the findings of a page of invoices after this number, and the cursor of the next page."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        rows = await connection.fetch(
            """
            SELECT number, customer_id, month, issued_on, supply, vat, total, document FROM invoices
             WHERE number > $1 ORDER BY number LIMIT $2
            """,
            after,
            _PAGE_SIZE,
        )
        findings = [
            *_gaps(after, [row["number"] for row in rows]),
            *await _differences(connection, rows),
        ]
        if len(rows) == _PAGE_SIZE:
            return findings, rows[-1]["number"]
        return [*findings, *await _counters(connection)], None


def _gaps(after: str, numbers: Sequence[str]) -> Iterator[Finding]:
    """Yield a finding for each gap in the invoice numbers; each year starts with number 1."""
    expected = _next(after)
    for number in numbers:
        if (parts := _parts(number)) is None:
            yield _finding(FindingCode.INVOICE_DIFFERS, f"Invoice {number}: its number is invalid.")
            continue
        year, sequence = parts
        if expected is None or expected[0] != year:
            expected = (year, 1)
        if expected < (year, sequence):
            first, last = invoice_number(*expected), invoice_number(year, sequence - 1)
            missing = f"Invoice {first} is" if first == last else f"Invoices {first} to {last} are"
            yield _finding(FindingCode.INVOICE_MISSING, f"{missing} missing.")
        expected = _next(number)


def _next(number: str) -> tuple[int, int] | None:
    parts = _parts(number)
    return (parts[0], parts[1] + 1) if parts else None


def _parts(number: str) -> tuple[int, int] | None:
    """Return year and sequence; None for an invalid number."""
    return (int(number[:4]), int(number[5:])) if _NUMBER.fullmatch(number) else None


async def _counters(connection: Connection) -> list[Finding]:
    """Compare the counter of each year with the last invoice number."""
    rows = await connection.fetch(
        """
        SELECT year, last,
               coalesce(max(substring(number FROM '^[0-9]{4}-([0-9]{1,18})$')::bigint), 0) AS issued
          FROM invoice_counters
          LEFT JOIN invoices ON substring(number FROM '^([0-9]{4})-[0-9]{1,18}$')::integer = year
         GROUP BY year, last
        """
    )
    return [
        _finding(
            FindingCode.INVOICE_MISSING,
            f"The last invoice of {row['year']} is number {row['issued']}, but the counter is {row['last']}.",
        )
        for row in rows
        if row["last"] != row["issued"]
    ]


async def _differences(connection: Connection, rows: Sequence[Row]) -> list[Finding]:
    invoices = {row["number"]: _invoice(row) for row in rows}
    keys = [key for invoice in invoices.values() if invoice for key in invoice.keys]
    parts = [key.split("/ADJUSTMENT/") for key in keys if "/ADJUSTMENT/" in key]
    adjusted, adjustments = [part[0] for part in parts], [part[-1] for part in parts]
    charged = {row["key"]: row for row in await connection.fetch(_CHARGES_SQL, keys, adjusted, adjustments)}
    entered: dict[str, set[str]] = {number: set() for number in invoices}
    for entry in await connection.fetch(
        "SELECT entry_key, number FROM invoice_entries WHERE number = ANY($1)", list(invoices)
    ):
        entered[entry["number"]].add(entry["entry_key"])
    findings = []
    for row in rows:
        invoice = invoices[row["number"]]
        problems = _problems(invoice, row, entered[row["number"]], charged)
        if invoice:
            problems += await _correction_problems(connection, invoice)
        findings += [
            _finding(FindingCode.INVOICE_DIFFERS, f"Invoice {row['number']}: {problem}.")
            for problem in problems
        ]
    return findings


def _problems(invoice: Invoice | None, row: Row, entered: set[str], charged: Mapping[str, Row]) -> list[str]:
    if invoice is None:
        return ["it cannot be read"]
    try:
        return [*_own_problems(invoice, row, entered), *_entry_problems(invoice, charged)]
    except Exception as error:
        return [f"it could not be checked ({type(error).__name__})"]


def _own_problems(invoice: Invoice, row: Row, entered: set[str]) -> Iterator[str]:
    columns = ("number", "customer_id", "month", "issued_on", "supply", "vat", "total")
    values = (
        invoice.number,
        invoice.customer_id,
        invoice.month,
        invoice.issued_on,
        invoice.supply_amount,
        invoice.vat_amount,
        invoice.total,
    )
    if tuple(row[column] for column in columns) != values:
        yield "its columns do not match its document"
    if entered != set(invoice.keys):
        yield "its entries differ from those marked as invoiced"
    expected_invoice = invoice_for(
        invoice.customer_id,
        invoice.month,
        invoice.subscriptions,
        number=invoice.number,
        issued_on=invoice.issued_on,
        vat_percent=invoice.vat_percent,
        supplier=invoice.supplier,
        corrected=invoice.corrected,
    )
    if invoice != expected_invoice:
        yield "its totals do not match its entries"


def _entry_problems(invoice: Invoice, charged: Mapping[str, Row]) -> Iterator[str]:
    for subscription in invoice.subscriptions:
        for entry in subscription.entries:
            row = charged.get(entry.key)
            if row is None:
                yield f"the ledger lacks {entry.key}"
            elif (row["customer_id"], row["amount"]) != (invoice.customer_id, entry.amount):
                yield f"the ledger line {entry.key} differs"


async def _correction_problems(connection: Connection, invoice: Invoice) -> list[str]:
    """Compare the invoice's corrections of earlier invoices with its adjustments.

    The savepoint keeps the transaction usable after a value with which PostgreSQL cannot calculate.
    """
    number = _parts(invoice.number)
    if number is None:
        return []
    try:
        async with connection.transaction():
            numbers = await invoice_numbers(connection, invoice.customer_id)
            earlier = [other for other in numbers if (parts := _parts(other)) and parts < number]
            corrected = await corrected_invoices(connection, invoice.subscriptions, earlier)
    except asyncpg.DataError as error:
        return [f"its corrections could not be checked ({type(error).__name__})"]
    if tuple(corrected) == invoice.corrected:
        return []
    return ["its corrections of earlier invoices do not match its adjustments"]


def _invoice(row: Row) -> Invoice | None:
    try:
        return Invoice.model_validate_json(row["document"])
    except ValueError:
        return None


def _finding(code: FindingCode, message: str) -> Finding:
    return Finding(subscription_id=None, code=code, message=message)
