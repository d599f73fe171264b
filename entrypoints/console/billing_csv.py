"""CSV of invoices and of the charges of a subscription, with headers in the language of the page.

Dates are in ISO 8601 and amounts are plain numbers, for calculations in a spreadsheet.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import timedelta

from adapters.csv_format import BYTE_ORDER_MARK, csv_text
from adapters.translation import Translator
from entrypoints.console.message_formatter import MessageFormatter
from starter.invoices import InvoiceSummary
from subscription.adjustment import Adjustment
from subscription.invoice import InvoiceKind
from subscription.ledger import LedgerLine


async def invoices_csv(
    batches: AsyncIterator[Sequence[InvoiceSummary]], translator: Translator
) -> AsyncGenerator[bytes]:
    _ = translator.gettext
    yield _head(
        _("Invoice number"),
        _("Type"),
        _("Billing account"),
        _("Month of use"),
        _("Issued on"),
        _("Supply amount (KRW)"),
        _("VAT (KRW)"),
        _("Total (KRW)"),
    )
    kinds = {InvoiceKind.INVOICE: _("Invoice"), InvoiceKind.CREDIT_NOTE: _("Credit note")}
    async for invoices in batches:
        yield csv_text(
            (
                invoice.number,
                kinds[invoice.kind],
                invoice.customer_id,
                f"{invoice.month:%Y-%m}",
                invoice.issued_on.isoformat(),
                invoice.supply_amount,
                invoice.vat_amount,
                invoice.total,
            )
            for invoice in invoices
        ).encode()


async def charges_csv(
    ledger: Sequence[LedgerLine],
    adjustments: Sequence[Adjustment],
    invoices: Mapping[str, InvoiceSummary],
    translator: Translator,
    messages: MessageFormatter,
) -> AsyncGenerator[bytes]:
    """Yield the ledger lines, then the adjustments, each with the number of its invoice."""
    _ = translator.gettext
    yield _head(
        _("Item"),
        _("First day"),
        _("Last day"),
        _("Plan"),
        _("Members"),
        _("Amount before VAT (KRW)"),
        _("Invoice number"),
        _("Reason"),
        _("Reference"),
    )
    numbers = {key: invoice.number for key, invoice in invoices.items()}
    yield csv_text(
        (
            messages.line_kind(line.kind),
            line.first_day.isoformat(),
            (line.end_day - timedelta(days=1)).isoformat(),
            " / ".join(messages.plan(rate.plan) for rate in line.rates),
            line.members if len(line.rates) == 1 else " / ".join(str(rate.members) for rate in line.rates),
            line.amount,
            numbers.get(line.key, ""),
            "",
            "",
        )
        for line in ledger
    ).encode()
    yield csv_text(
        (
            _("Adjustment"),
            adjustment.corrected.first_day.isoformat(),
            "",
            "",
            "",
            adjustment.amount,
            numbers.get(adjustment.key, ""),
            f"{messages.line_kind(adjustment.corrected.kind)}: {messages.reason(adjustment.reason)}",
            adjustment.reference,
        )
        for adjustment in adjustments
    ).encode()


def _head(*columns: str) -> bytes:
    return (BYTE_ORDER_MARK + csv_text([columns])).encode()
