"""Views of charges: ledger, quotes, adjustments and invoices."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from entrypoints.cli.views.formatting import NONE, format_amount, format_time
from entrypoints.cli.views.layout import BreakableIdentifier, new_table
from subscription.ledger import LineKind
from subscription.messages import PLAIN

if TYPE_CHECKING:
    from starter.client import CancellationQuote
    from subscription.adjustment import Adjustment
    from subscription.explain import Explanation
    from subscription.forecast import ChangeQuote, Quote
    from subscription.invoice import CorrectedInvoice, Invoice
    from subscription.ledger import LedgerLine


def ledger_table(lines: "Iterable[LedgerLine]") -> Table:
    """Return ledger lines with their sum. Periods are half-open: `to` is the first day not charged."""
    lines = list(lines)
    table = new_table("Charge", "From", "To", "Plan", "Members", "KRW", "Posted", right=("Members", "KRW"))
    table.show_footer = bool(lines)
    table.columns[0].footer = "Sum"
    table.columns[5].footer = format_amount(sum(line.amount for line in lines))
    for line in lines:
        table.add_row(
            BreakableIdentifier(line.kind),
            str(line.first_day),
            str(line.end_day),
            "\n".join(rate.plan for rate in line.rates),
            "\n".join(f"{rate.members:,}" for rate in line.rates),
            format_amount(line.amount),
            f"{line.effective_at:%Y-%m-%d}",
        )
    return table


def adjustments_table(adjustments: "Iterable[Adjustment]") -> Table:
    table = new_table("Adjustment", "Corrects", "Reason", "Reference", "KRW", "Created (KST)", right=("KRW",))
    for adjustment in adjustments:
        _, _, name = adjustment.key.rpartition("/")
        table.add_row(
            name,
            BreakableIdentifier(f"{adjustment.corrected.kind}/{adjustment.corrected.first_day}"),
            BreakableIdentifier(adjustment.reason),
            adjustment.reference,
            format_amount(adjustment.amount),
            f"{adjustment.effective_at:%Y-%m-%d %H:%M}",
        )
    return table


def invoices_table(invoices: "Iterable[Invoice]") -> Table:
    amounts = ("Supply (KRW)", "VAT (KRW)", "Total (KRW)")
    table = new_table("Number", "Kind", "Customer", "Month", "Issued", *amounts, right=amounts)
    for invoice in invoices:
        table.add_row(
            invoice.number,
            invoice.kind,
            invoice.customer_id,
            f"{invoice.month:%Y-%m}",
            str(invoice.issued_on),
            format_amount(invoice.supply_amount),
            format_amount(invoice.vat_amount),
            format_amount(invoice.total),
        )
    return table


def invoice_view(invoice: "Invoice") -> RenderableType:
    """Return an invoice with its entries. Periods are inclusive: the second date is the last day charged."""
    from subscription.invoice import InvoicedAdjustment

    table = new_table("Subscription", "Charge", "Days", "Plan", "Members", "KRW", right=("Members", "KRW"))
    for subscription in invoice.subscriptions:
        for entry in subscription.entries:
            if isinstance(entry, InvoicedAdjustment):
                corrected = f"{entry.corrected.kind}/{entry.corrected.first_day}"
                details = (f"{entry.reason}, {entry.reference}, for {corrected}", NONE, NONE)
            else:
                details = (
                    f"{entry.first_day} to {entry.last_day}",
                    "\n".join(rate.plan for rate in entry.rates),
                    "\n".join(f"{rate.members:,}" for rate in entry.rates),
                )
            table.add_row(
                subscription.subscription_id,
                BreakableIdentifier(entry.kind),
                *details,
                format_amount(entry.amount),
            )
    parts = [invoices_table([invoice]), table]
    if invoice.corrected:
        parts.append(corrected_invoices_table(invoice.corrected))
    return Group(*parts)


def corrected_invoices_table(corrected: "Iterable[CorrectedInvoice]") -> Table:
    """Return the earlier invoices that an invoice corrects, with amounts before and after."""
    amounts = ("Supply before (KRW)", "Supply after (KRW)", "Change of VAT (KRW)")
    table = new_table("Corrects", *amounts, right=amounts)
    for invoice in corrected:
        table.add_row(
            invoice.number,
            format_amount(invoice.supply_before),
            format_amount(invoice.supply_after),
            format_amount(invoice.vat_change),
        )
    return table


def quote_view(quote: "CancellationQuote | ChangeQuote") -> RenderableType:
    from starter.client import CancellationQuote

    lines = [ledger_table(quote.ledger)] if quote.ledger else []
    if not isinstance(quote, CancellationQuote):
        return Group(Text(f"{_change_message(quote)}."), *lines)
    last = format_time(quote.last_export_at) if quote.last_export_at else "never"
    export = Text(f"Last export: {last}. `worksub export ID --to FILE` exports all data.")
    return Group(Text(f"{_cancellation_message(quote)}."), *lines, export)


def _cancellation_message(quote: "Quote") -> str:
    message = f"Canceling on {quote.date} would cost {format_amount(quote.total)} KRW"
    if quote.penalty:
        message += (
            f", including an early-termination charge of {format_amount(quote.penalty)} KRW, which does not "
            f"apply on {quote.free_on}"
        )
    return message


def _change_message(quote: "ChangeQuote") -> str:
    instead = f" instead of {format_amount(quote.monthly_now)} KRW" if quote.monthly_now else ""
    term, end = quote.contract.term.lower(), quote.contract.end_day
    return (
        f"From {quote.date}, {quote.plan} for {PLAIN.members(quote.members)} costs "
        f"{format_amount(quote.monthly)} KRW per month{instead}. "
        f"The total until the end of the {term} contract on {end} is {format_amount(quote.total)} KRW"
    )


def explanation_view(explanation: "Explanation") -> RenderableType:
    table = new_table(
        "From",
        "To",
        "Days",
        "Plan",
        "Members",
        "Price (KRW)",
        "Exact (KRW)",
        right=("Days", "Members", "Price (KRW)", "Exact (KRW)"),
    )
    for step in explanation.steps:
        table.add_row(
            str(step.first_day),
            str(step.end_day),
            f"{step.days} of {step.days_in_month}",
            step.plan,
            f"{step.members:,}",
            step.price_in_words,
            step.exact,
        )
    return Group(
        Text(explanation.key, style="bold"),
        Text(f"{explanation.rule}: {explanation.meaning}."),
        table,
        *(Text(f"{price}.") for price in explanation.prices),
        Text(explanation.arithmetic),
        Text(""),
    )


def quotes_table(quotes: "Iterable[Quote]") -> Table:
    columns = ("Service fees", "Discount repayment", "Early termination", "Total (KRW)")
    table = new_table("Canceling on", *columns, right=columns)
    for quote in quotes:
        parts = [sum(line.amount for line in quote.ledger if line.kind is kind) for kind in LineKind]
        table.add_row(str(quote.date), *map(format_amount, parts), format_amount(quote.total))
    return table
