"""VAT on charges that are not invoiced yet, rounded as on the invoices."""

from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta

from subscription.business_calendar import day_of, first_of_month, first_of_next_month
from subscription.catalogue import InvoicePolicy, PriceBook
from subscription.invoice import vat_on
from subscription.ledger import LedgerLine, LineKind


def invoice_policy(month: date, book: PriceBook) -> InvoicePolicy:
    """Return the policy for the invoices of a month: of the catalogue in force on the month's last day."""
    catalogue = book.in_force(first_of_next_month(month) - timedelta(days=1))
    return catalogue.invoice if catalogue else InvoicePolicy()


def invoice_month(line: LedgerLine) -> date:
    """Return the first day of the month on whose invoice the line appears if it is recorded in time.

    Service fees belong to the month of their days, and early-termination charges to that of their posting.
    """
    is_fee = line.kind is LineKind.SERVICE_FEE
    return first_of_month(line.first_day if is_fee else day_of(line.effective_at))


def vat_on_lines(lines: Iterable[LedgerLine], book: PriceBook) -> int:
    """Return the VAT on lines, rounded once per month, as if nothing else were on these invoices."""
    supply = Counter[date]()
    for line in lines:
        supply[invoice_month(line)] += line.amount
    return sum(vat_on(amount, invoice_policy(month, book).vat_percent) for month, amount in supply.items())
