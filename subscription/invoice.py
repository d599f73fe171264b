"""Invoices: the ledger lines for which a customer is billed in a month.

The month of a line is the month in which it took effect. A line appears on the first invoice that is issued
for this month or a later one; a line that was recorded late therefore appears on the next invoice. Service
fees posted at the start of 1 April are for days of March and appear on the invoice of March. An
early-termination charge of 1 April belongs to April, whether or not the cancellation was reserved.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from subscription.adjustment import AdjustmentReason
from subscription.batch import MemberFailure
from subscription.business_calendar import Day, first_of_next_month, start_of
from subscription.catalogue import Supplier
from subscription.ledger import ChargedRate, LedgerLine, LineKey, LineKind
from subscription.model import Frozen


class InvoiceKind(StrEnum):
    INVOICE = "INVOICE"
    CREDIT_NOTE = "CREDIT_NOTE"
    """The supply amount is below zero: the customer gets money back."""


class InvoicedLine(Frozen):
    """A ledger line on an invoice: its days, and its amount in whole KRW before VAT.

    `rates` are all plans and numbers of members that the line charges; `plan` and `members` are the last of
    them.
    """

    key: str
    kind: LineKind
    first_day: Annotated[Day, Field(alias="from")]
    end_day: Annotated[Day, Field(alias="to")]
    plan: str
    members: int
    rates: tuple[ChargedRate, ...]
    amount: int

    @classmethod
    def of(cls, line: LedgerLine) -> "InvoicedLine":
        return cls(
            **line.model_dump(include=cls.model_fields.keys() - {"rates"}, by_alias=False), rates=line.rates
        )

    @property
    def last_day(self) -> date:
        """Return the last charged day, for display as an inclusive period."""
        return self.end_day - timedelta(days=1)


class InvoicedAdjustment(Frozen):
    """A compensating line on an invoice, with the key of the line that it corrects."""

    kind: Literal["ADJUSTMENT"] = "ADJUSTMENT"
    key: str
    corrects: str
    reason: AdjustmentReason
    reference: str
    amount: int

    @property
    def corrected(self) -> LineKey:
        return LineKey.of(self.corrects)


InvoiceEntry = InvoicedLine | InvoicedAdjustment


class InvoicedSubscription(Frozen):
    """The entries of one subscription on an invoice."""

    subscription_id: str
    entries: tuple[InvoiceEntry, ...]

    @property
    def amount(self) -> int:
        return sum(entry.amount for entry in self.entries)


class CorrectedInvoice(Frozen):
    """An earlier invoice whose lines are adjusted: its remaining supply amount before and after."""

    number: str
    vat_percent: int
    supply_before: int
    supply_after: int

    @property
    def supply_change(self) -> int:
        return self.supply_after - self.supply_before

    @property
    def vat_change(self) -> int:
        """Return the change of the tax at the earlier invoice's rate; negative if tax is refunded."""
        return vat_on(self.supply_after, self.vat_percent) - vat_on(self.supply_before, self.vat_percent)


class Invoice(Frozen):
    """A customer's invoice for one month, in whole KRW. Immutable; contains no personal data."""

    number: str
    kind: InvoiceKind
    customer_id: str
    month: Day
    """The month's first day."""
    issued_on: Day
    supplier: Supplier
    subscriptions: tuple[InvoicedSubscription, ...]
    corrected: tuple[CorrectedInvoice, ...] = ()
    supply_amount: int
    vat_percent: int
    vat_amount: int
    total: int

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys of all entries; a key appears on one invoice only."""
        return tuple(entry.key for subscription in self.subscriptions for entry in subscription.entries)


def invoice_number(year: int, sequence: int) -> str:
    return f"{year}-{sequence:06}"


def cutoff_of(month: date) -> datetime:
    """Return the half-open end of a month: the start of the next one."""
    return start_of(first_of_next_month(month))


def vat_on(supply_amount: int, percent: int) -> int:
    """Return the tax on a supply amount, rounded toward zero once."""
    tax = abs(supply_amount) * percent // 100
    return tax if supply_amount >= 0 else -tax


def invoice_for(
    customer_id: str,
    month: date,
    subscriptions: Sequence[InvoicedSubscription],
    *,
    number: str,
    issued_on: date,
    vat_percent: int,
    supplier: Supplier,
    corrected: Sequence[CorrectedInvoice] = (),
) -> Invoice:
    """Return the invoice. `vat_percent` taxes new charges; corrections are taxed as their own invoice was."""
    supply = sum(subscription.amount for subscription in subscriptions)
    new_charges = supply - sum(correction.supply_change for correction in corrected)
    vat = vat_on(new_charges, vat_percent) + sum(correction.vat_change for correction in corrected)
    return Invoice(
        number=number,
        kind=InvoiceKind.INVOICE if supply >= 0 else InvoiceKind.CREDIT_NOTE,
        customer_id=customer_id,
        month=month,
        issued_on=issued_on,
        supplier=supplier,
        subscriptions=tuple(subscriptions),
        corrected=tuple(corrected),
        supply_amount=supply,
        vat_percent=vat_percent,
        vat_amount=vat,
        total=supply + vat,
    )


def by_subscription(entries: Iterable[tuple[str, InvoiceEntry]]) -> tuple[InvoicedSubscription, ...]:
    """Group pairs of subscription ID and entry by subscription, in the order of the IDs."""
    grouped: dict[str, list[InvoiceEntry]] = {}
    for subscription_id, entry in entries:
        grouped.setdefault(subscription_id, []).append(entry)
    return tuple(
        InvoicedSubscription(subscription_id=subscription_id, entries=tuple(grouped[subscription_id]))
        for subscription_id in sorted(grouped)
    )


class IssueInvoices(Frozen):
    """Issue the invoices of a month, dated `issued_on`, for a page of customers after the cursor `after`.

    `customer_id` restricts the page to one customer. `by_test_clock` means that `issued_on` is not the date
    of the real clock.
    """

    month: Day
    issued_on: Day
    after: str = ""
    customer_id: str | None = None
    by_test_clock: bool = False


class InvoicesIssued(Frozen):
    """The invoices of a page. `next_after` is the cursor of the next page; None on the last page."""

    issued: int
    total: int
    failed: tuple[MemberFailure, ...] = ()
    next_after: str | None


class InvoicesReport(Frozen):
    """The result of the job: the number of invoices, and their sum in KRW with VAT."""

    summary: str
    month: Day
    issued: int
    total: int
    failed: int
    failures: tuple[MemberFailure, ...]
