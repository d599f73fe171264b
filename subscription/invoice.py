"""Invoices: which ledger lines a customer is billed for in a month.

A line belongs to the first invoice that is issued for its month or a later one. Its month is the one in
which it came into effect. Service fees that are posted at the start of 1 April are for days of March, and on
March's invoice. What leaving early costs on 1 April belongs to April, whether the cancellation was reserved
or not. A line that was recorded late is on the next invoice.
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

    `rates` has each plan and number of members that the line charges for; `plan` and `members` are the last.
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
        """The last day that is charged, as people write a period."""
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
    """What one subscription adds to an invoice."""

    subscription_id: str
    entries: tuple[InvoiceEntry, ...]

    @property
    def amount(self) -> int:
        return sum(entry.amount for entry in self.entries)


class CorrectedInvoice(Frozen):
    """An earlier invoice whose lines are adjusted: what is left of its supply amount, before and after."""

    number: str
    vat_percent: int
    supply_before: int
    supply_after: int

    @property
    def supply_change(self) -> int:
        return self.supply_after - self.supply_before

    @property
    def vat_change(self) -> int:
        """The tax that is given back, which is below zero, or added: what that invoice charged for it."""
        return vat_on(self.supply_after, self.vat_percent) - vat_on(self.supply_before, self.vat_percent)


class Invoice(Frozen):
    """One customer's invoice for one month, in whole KRW: never changed once issued. It names no person."""

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
        """Everything that stands on it; each stands on no other invoice."""
        return tuple(entry.key for each in self.subscriptions for entry in each.entries)


def invoice_number(year: int, sequence: int) -> str:
    return f"{year}-{sequence:06}"


def cutoff_of(month: date) -> datetime:
    """Return the half-open end of a month: the start of the next one."""
    return start_of(first_of_next_month(month))


def vat_on(supply_amount: int, percent: int) -> int:
    """Return the tax on a supply amount, rounded towards zero once."""
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
    """The tax on what is newly charged, and what the corrections of earlier invoices change of theirs."""
    supply = sum(each.amount for each in subscriptions)
    own = supply - sum(each.supply_change for each in corrected)
    vat = vat_on(own, vat_percent) + sum(each.vat_change for each in corrected)
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
    """Entries, each with its subscription's id, gathered under the subscriptions in order of their ids."""
    gathered: dict[str, list[InvoiceEntry]] = {}
    for subscription_id, entry in entries:
        gathered.setdefault(subscription_id, []).append(entry)
    return tuple(
        InvoicedSubscription(subscription_id=subscription_id, entries=tuple(gathered[subscription_id]))
        for subscription_id in sorted(gathered)
    )


class IssueInvoices(Frozen):
    """Issue the invoices of a month, on `issued_on`, for a page of customers after `after`."""

    month: Day
    issued_on: Day
    after: str = ""


class InvoicesIssued(Frozen):
    """`next_after` is where the next page begins; None if there is none."""

    issued: int
    total: int
    failed: tuple[MemberFailure, ...] = ()
    next_after: str | None


class InvoicesReport(Frozen):
    """What the job says when it is done: so many invoices, and their sum in KRW with VAT."""

    summary: str
    month: Day
    issued: int
    total: int
    failed: int
    failures: tuple[MemberFailure, ...]
