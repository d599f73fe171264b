"""The tab Billing of a subscription: its charges and invoices."""

from starlette.responses import Response

from entrypoints.console.page_context import PageContext
from entrypoints.console.views.subscription_tabs import Tab, render_tab
from starter.client import CurrentState
from subscription.adjustment import Adjustment
from subscription.invoice import Invoice
from subscription.ledger import LedgerLine


async def billing(page: PageContext) -> Response:
    subscription_id, client = page.subscription_id, page.client
    current = await client.current_state(subscription_id)
    invoices = await _invoices(page, current)
    ledger, adjustments = await client.ledger(subscription_id), await client.adjustments(subscription_id)
    charges: list[LedgerLine | Adjustment] = [*ledger, *adjustments]
    numbers = {key: invoice.number for invoice in invoices for key in invoice.keys}
    return await render_tab(
        page,
        Tab.BILLING,
        "billing.html",
        current,
        ledger=ledger,
        adjustments=adjustments,
        numbers=numbers,
        charged=sum(charge.amount for charge in charges),
        not_invoiced=sum(charge.amount for charge in charges if charge.key not in numbers),
        invoices=invoices,
    )


async def _invoices(page: PageContext, current: CurrentState) -> list[Invoice]:
    """Return the invoices that contain this subscription, the latest first."""
    invoices = await page.client.invoices(customer_id=current.state.customer_id, limit=500)
    subscription_id = current.state.subscription_id
    return [
        invoice
        for invoice in reversed(invoices)
        if any(part.subscription_id == subscription_id for part in invoice.subscriptions)
    ]
