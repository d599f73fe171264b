"""The list of invoices, the invoice page, and their downloads."""

import logging
from urllib.parse import urlencode

from starlette.responses import HTMLResponse, Response

from adapters import csv_format
from adapters.html_to_pdf import PdfError, can_render_pdf, html_to_pdf
from adapters.invoice_html import InvoiceLinks, invoice_page
from entrypoints.console.billing_csv import invoices_csv
from entrypoints.console.page_context import PageContext
from entrypoints.http.download_response import download_response

_log = logging.getLogger(__name__)

_A_PAGE = 50
# The only style is inline. `sandbox` forbids scripts and forms, which the template does not contain.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; "
    "sandbox allow-downloads"
)


async def invoices(page: PageContext) -> Response:
    """List the customer's invoices, newest first; for operators, those of all customers."""
    query = page.request.query_params
    before, customer = query.get("before", ""), query.get("customer", "")
    found = await page.client.latest_invoices(customer_id=customer or None, before=before, limit=_A_PAGE)
    filters = {"customer": customer} if customer else {}
    return await page.render(
        "invoices.html",
        found=found,
        before=before,
        customer=customer,
        next_page=f"?{urlencode(filters | {'before': found.next_cursor})}",
        pdf=can_render_pdf(),
    )


async def all_as_csv(page: PageContext) -> Response:
    batches = page.client.all_invoices(customer_id=page.request.query_params.get("customer") or None)
    pieces = invoices_csv(batches, page.translator)
    return await download_response(pieces, "invoices.csv", csv_format.MEDIA_TYPE)


async def invoice(page: PageContext) -> Response:
    """Return the invoice document with a Content-Security-Policy that allows only its inline style."""
    number: str = page.request.path_params["number"]
    links = InvoiceLinks(invoices="/invoices", pdf=f"/invoices/{number}.pdf" if can_render_pdf() else None)
    return HTMLResponse(await _document(page, links), headers={"Content-Security-Policy": _POLICY})


async def invoice_as_pdf(page: PageContext) -> Response:
    """Return the PDF of the invoice document; where none can be made, show the document itself."""
    document = await _document(page)
    number: str = page.request.path_params["number"]
    if not can_render_pdf():
        return await page.redirect(f"/invoices/{number}")
    try:
        pdf = await html_to_pdf(document)
    except PdfError:
        _log.warning("The PDF of an invoice could not be rendered.", exc_info=True)
        said = page.translator.gettext(
            "The PDF could not be created. Open the invoice and print it, or try again later."
        )
        return await page.render("refused.html", said=said, status=503)
    filename = f"invoice-{number}.pdf"
    return Response(
        pdf,
        media_type="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{filename}"'},
    )


async def _document(page: PageContext, links: InvoiceLinks | None = None) -> str:
    invoice = await page.client.invoice(page.request.path_params["number"])
    return invoice_page(invoice, page.translator.language, await page.client.price_book(), links=links)
