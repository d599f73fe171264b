"""Render an invoice as a printable HTML page."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment

from adapters.translation import Language, Translator, template_environment
from subscription.catalogue import PriceBook
from subscription.invoice import Invoice
from subscription.ledger import ChargedRate
from subscription.record_labels import ADJUSTMENT_REASONS, LINE_KINDS


@dataclass(frozen=True)
class InvoiceLinks:
    """Links above the document, which are not printed. `pdf` is None where no PDF can be made."""

    invoices: str
    pdf: str | None = None


def invoice_page(
    invoice: Invoice, language: Language, book: PriceBook, *, links: InvoiceLinks | None = None
) -> str:
    """Render a self-contained HTML document, laid out for printing on A4 and for screens from 320 px.

    Each plan has the title that was valid on the first day charged. Published catalogue versions never
    change, so the page is reproducible.
    """

    def title(rate: ChargedRate) -> str:
        return book.plan_terms(rate.plan, rate.first_day).title

    page: Any = _environment(language).get_template("invoice.html")
    html: str = page.render(
        invoice=invoice,
        translator=Translator(language),
        line_kinds=LINE_KINDS,
        reasons=ADJUSTMENT_REASONS,
        title=title,
        links=links,
    )
    return html


@cache
def _environment(language: Language) -> Environment:
    return template_environment("adapters", language, autoescape=True)
