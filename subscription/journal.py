"""The journal: ledger lines, adjustments and invoices as balanced double-entry postings.

A service is revenue on the last of its days, although its invoice follows. Until then the amount is an
accrued receivable. No payments are posted, because worksub takes none, and nothing is deferred, because every
charge is post-paid.
"""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from subscription.business_calendar import Day, day_of
from subscription.invoice import Invoice
from subscription.ledger import LineKind
from subscription.model import Frozen

CURRENCY = "KRW"


class JournalAccount(StrEnum):
    """The accounts of the journal. The names are stable; docs/journal.md describes them."""

    ACCRUED_RECEIVABLES = "ACCRUED_RECEIVABLES"
    """Charged and not yet invoiced, before VAT."""
    RECEIVABLES = "RECEIVABLES"
    """Invoiced, with VAT."""
    VAT_PAYABLE = "VAT_PAYABLE"
    SERVICE_FEE_REVENUE = "SERVICE_FEE_REVENUE"
    DISCOUNT_REPAYMENT_REVENUE = "DISCOUNT_REPAYMENT_REVENUE"
    EARLY_TERMINATION_FEE_REVENUE = "EARLY_TERMINATION_FEE_REVENUE"
    ADJUSTMENTS = "ADJUSTMENTS"
    """Corrections of charges: a credit to a customer is a debit."""


_REVENUE = {
    LineKind.SERVICE_FEE: JournalAccount.SERVICE_FEE_REVENUE,
    LineKind.DISCOUNT_REPAYMENT: JournalAccount.DISCOUNT_REPAYMENT_REVENUE,
    LineKind.EARLY_TERMINATION_FEE: JournalAccount.EARLY_TERMINATION_FEE_REVENUE,
}


class JournalLine(Frozen):
    """One posting in whole KRW; either `debit` or `credit` is 0. The lines of one `document` balance.

    `document` is the key of the ledger line or of the adjustment, or the number of the invoice. An amount of
    a whole invoice has no subscription.
    """

    date: Day
    document: str
    account: JournalAccount
    debit: int
    credit: int
    currency: str = CURRENCY
    subscription_id: str | None
    customer_id: str


class _Posting(NamedTuple):
    account: JournalAccount
    amount: int
    """Positive is a debit, negative a credit."""
    subscription_id: str | None


def charge_lines(
    key: str,
    kind: LineKind,
    amount: int,
    *,
    end_day: date,
    effective_at: datetime,
    subscription_id: str,
    customer_id: str,
) -> Iterator[JournalLine]:
    """Yield the postings of a ledger line: a service fee on its last day, another charge when in effect."""
    day = end_day - timedelta(days=1) if kind is LineKind.SERVICE_FEE else day_of(effective_at)
    postings = (
        _Posting(JournalAccount.ACCRUED_RECEIVABLES, amount, subscription_id),
        _Posting(_REVENUE[kind], -amount, subscription_id),
    )
    return _lines(day, key, customer_id, postings)


def adjustment_lines(
    key: str, amount: int, *, effective_at: datetime, subscription_id: str, customer_id: str
) -> Iterator[JournalLine]:
    """Yield the postings of an adjustment; a negative amount is a credit to the customer."""
    postings = (
        _Posting(JournalAccount.ACCRUED_RECEIVABLES, amount, subscription_id),
        _Posting(JournalAccount.ADJUSTMENTS, -amount, subscription_id),
    )
    return _lines(day_of(effective_at), key, customer_id, postings)


def invoice_lines(invoice: Invoice) -> Iterator[JournalLine]:
    """Yield the postings of an invoice: accrued amounts become one receivable with VAT."""
    postings = (
        _Posting(JournalAccount.RECEIVABLES, invoice.total, None),
        *(
            _Posting(JournalAccount.ACCRUED_RECEIVABLES, -subscription.amount, subscription.subscription_id)
            for subscription in invoice.subscriptions
        ),
        _Posting(JournalAccount.VAT_PAYABLE, -invoice.vat_amount, None),
    )
    return _lines(invoice.issued_on, invoice.number, invoice.customer_id, postings)


def _lines(day: date, document: str, customer_id: str, postings: Iterable[_Posting]) -> Iterator[JournalLine]:
    for posting in postings:
        if posting.amount:
            yield JournalLine(
                date=day,
                document=document,
                account=posting.account,
                debit=max(posting.amount, 0),
                credit=max(-posting.amount, 0),
                subscription_id=posting.subscription_id,
                customer_id=customer_id,
            )
