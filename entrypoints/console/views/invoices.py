"""The list of invoices, the invoice page, and their downloads."""

from starlette.responses import HTMLResponse, Response

from adapters import csv_format
from adapters.invoice_html import InvoiceLinks, invoice_page
from entrypoints.console.billing_csv import invoices_csv
from entrypoints.console.page_context import PageContext
from entrypoints.http.download_response import download_response

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
    return await page.render("invoices.html", found=found, before=before, customer=customer)


async def all_as_csv(page: PageContext) -> Response:
    batches = page.client.all_invoices(customer_id=page.request.query_params.get("customer") or None)
    pieces = invoices_csv(batches, page.translator)
    return await download_response(pieces, "invoices.csv", csv_format.MEDIA_TYPE)


async def invoice(page: PageContext) -> Response:
    """Return the invoice document with a Content-Security-Policy that allows only its inline style."""
    number: str = page.request.path_params["number"]
    found = await page.client.invoice(number)
    document = invoice_page(
        found,
        page.translator.language,
        await page.client.price_book(),
        links=InvoiceLinks(invoices="/invoices"),
    )
    return HTMLResponse(document, headers={"Content-Security-Policy": _POLICY})
