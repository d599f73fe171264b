"""The tab Billing of a subscription: its charges and invoices."""

from urllib.parse import quote

from starlette.responses import Response

from adapters import csv_format
from adapters.html_to_pdf import can_render_pdf
from entrypoints.console.billing_csv import charges_csv
from entrypoints.console.message_formatter import MessageFormatter
from entrypoints.console.page_context import PageContext
from entrypoints.console.views.subscription_tabs import Tab, render_tab
from entrypoints.http.download_response import download_response
from subscription.adjustment import Adjustment
from subscription.explain import charged_prices, explain
from subscription.ledger import LedgerLine


async def billing(page: PageContext) -> Response:
    subscription_id, client = page.subscription_id, page.client
    current = await client.current_state(subscription_id)
    invoices = await client.invoices_by_entry(subscription_id)
    ledger, adjustments = await client.ledger(subscription_id), await client.adjustments(subscription_id)
    charges: list[LedgerLine | Adjustment] = [*ledger, *adjustments]
    numbers = {key: invoice.number for key, invoice in invoices.items()}
    return await render_tab(
        page,
        Tab.BILLING,
        "billing.html",
        current,
        charges=sorted(charges, key=lambda charge: charge.effective_at)[::-1],
        explanations={line.key: (explain(line), charged_prices(line)) for line in ledger},
        numbers=numbers,
        charged=sum(charge.amount for charge in charges),
        not_invoiced=sum(charge.amount for charge in charges if charge.key not in numbers),
        invoices=sorted({*invoices.values()}, key=lambda invoice: invoice.number, reverse=True),
        pdf=can_render_pdf(),
    )


async def charges_as_csv(page: PageContext) -> Response:
    """Return the charges of a subscription, each with its invoice."""
    subscription_id, client = page.subscription_id, page.client
    pieces = charges_csv(
        await client.ledger(subscription_id),
        await client.adjustments(subscription_id),
        await client.invoices_by_entry(subscription_id),
        page.translator,
        MessageFormatter(page.translator, await client.price_book()),
    )
    filename = f"charges-{quote(subscription_id, safe='')}.csv"
    return await download_response(pieces, filename, csv_format.MEDIA_TYPE)
