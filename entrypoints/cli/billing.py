"""`worksub adjust` and `worksub invoice`."""

import re
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.cli import event_loop
from entrypoints.cli.errors import CommandError, ExitCode, usage_error
from entrypoints.cli.filters import CustomerFilter
from entrypoints.cli.options import DEFAULT_TIMEOUT, AsJson, PageSize, SubscriptionId, Timeout, one_of
from entrypoints.cli.output import print_status, show
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from subscription.invoice import Invoice

app = typer.Typer()
_PANEL = "Bill customers"

invoice_app = typer.Typer(help="Show monthly invoices.", no_args_is_help=True)
app.add_typer(invoice_app, name="invoice", rich_help_panel=_PANEL)


def read_month(text: str) -> date:
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text) or text < "0001":
        raise typer.BadParameter(f"{text!r} is not a month. Use the format 2027-03.")
    return date.fromisoformat(f"{text}-01")


def _reasons() -> list[str]:
    from subscription.adjustment import AdjustmentReason

    return list(AdjustmentReason)


def _languages() -> list[str]:
    from adapters.translation import Language

    return list(Language)


Number = Annotated[
    str, typer.Argument(metavar="NUMBER", help="Invoice number, such as 2027-000001.", show_default=False)
]


@app.command(rich_help_panel=_PANEL)
def adjust(
    subscription_id: SubscriptionId,
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help="Key of the ledger line, such as SERVICE_FEE/2027-01-01.", show_default=False
        ),
    ],
    amount: Annotated[
        int, typer.Option("--amount", metavar="KRW", help="Amount before VAT; a negative amount is a credit.")
    ],
    reason: Annotated[
        str,
        typer.Option(
            "--reason",
            parser=one_of(_reasons),
            autocompletion=_reasons,
            metavar="CODE",
            help="WRONG_CHARGE, GOODWILL, …",
        ),
    ],
    reference: Annotated[str, typer.Option("--reference", metavar="TICKET", help="Ticket number.")],
    adjustment_id: Annotated[
        str | None, typer.Option("--id", help="Idempotency key of the adjustment; default: the reference.")
    ] = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Correct a ledger line with a compensating adjustment. Repeating the command has no effect."""
    with Session(timeout=timeout) as session:
        subscription_id = session.resolve_id(subscription_id)
        data = {
            "subscription_id": subscription_id,
            "id": adjustment_id or reference,
            "key": f"{subscription_id}/{key}" if key.count("/") == 1 else key,
            "amount": amount,
            "reason": reason,
            "reference": reference,
        }
        adjustment = session.run_client(lambda client: client.adjust(data))
    show(as_json, adjustment, lambda: f"{adjustment.corrects} is corrected by {adjustment.amount:,} KRW.")


@invoice_app.command("list")
def list_invoices(
    customer: CustomerFilter = None,
    month: Annotated[
        date | None,
        typer.Option("--month", parser=read_month, metavar="MONTH", help="Only this month, such as 2027-03."),
    ] = None,
    limit: PageSize = 50,
    after: Annotated[str, typer.Option("--after", metavar="NUMBER", help="Continue after this number.")] = "",
    as_json: AsJson = False,
) -> None:
    """List invoices by number."""
    with Session() as session:
        invoices = session.run_query(
            lambda queries: queries.invoices(customer_id=customer, month=month, after=after, limit=limit + 1)
        )
    page = invoices[:limit]
    last = page[-1].number if len(invoices) > limit else None
    show(as_json, {"invoices": page, "next_cursor": last}, lambda: _invoices_view(page, last))


@invoice_app.command("show")
def show_invoice(
    number: Number,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write the invoice as HTML; - is standard output."),
    ] = None,
    pdf: Annotated[
        Path | None,
        typer.Option("--pdf", metavar="FILE", help="Write the invoice as PDF; - is standard output."),
    ] = None,
    language: Annotated[
        str,
        typer.Option(
            "--lang",
            parser=one_of(_languages),
            autocompletion=_languages,
            metavar="ko|en",
            help="Language of the document.",
        ),
    ] = "ko",
    as_json: AsJson = False,
) -> None:
    """Show an invoice, or write it as an HTML page or as PDF."""
    if html is not None and pdf is not None:
        raise usage_error("Specify --html or --pdf, not both.", field="pdf")
    file, field = (html, "html") if pdf is None else (pdf, "pdf")
    if as_json and file is not None and str(file) == "-":
        raise usage_error(f"--json and --{field} - cannot both write to standard output.", field=field)
    with Session() as session:
        invoice = session.run_query(lambda queries: queries.invoice(number))
        if file is None:
            from entrypoints.cli.views.billing import invoice_view

            show(as_json, invoice, lambda: invoice_view(invoice))
            return
        book = session.run_query(lambda queries: queries.price_book())
    from adapters.invoice_html import invoice_page
    from adapters.translation import Language

    page = invoice_page(invoice, Language(language), book)
    content = page.encode() if pdf is None else _rendered_pdf(page)
    if str(file) == "-":
        sys.stdout.buffer.write(content)
        return
    try:
        file.write_bytes(content)
    except OSError as error:
        raise usage_error(f"{file} cannot be written: {error.strerror}.", field=field) from None
    if as_json:
        show(True, {"number": number, field: str(file)}, lambda: "")
    else:
        print_status(f"Written to {file}.")


def _rendered_pdf(page: str) -> bytes:
    from adapters.html_to_pdf import PdfError, can_render_pdf, html_to_pdf

    if not can_render_pdf():
        raise CommandError(
            ExitCode.UNAVAILABLE,
            "PDF_NOT_INSTALLED",
            "WeasyPrint or the library Pango is not installed.",
            advice="pip install 'worksub[pdf]', and install Pango.",
        )
    try:
        return event_loop.run(html_to_pdf(page))
    except PdfError as error:
        raise CommandError(ExitCode.UNAVAILABLE, "PDF_FAILED", str(error)) from None


def _invoices_view(invoices: "list[Invoice]", last: str | None) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from entrypoints.cli.views.billing import invoices_table

    if not invoices:
        return Text("There are no invoices.")
    return Group(invoices_table(invoices), *([Text(f"There are more: add --after {last}")] if last else []))
