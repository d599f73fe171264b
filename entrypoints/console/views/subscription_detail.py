"""The subscription page and the invoice page."""

import uuid
from datetime import datetime

from starlette.responses import HTMLResponse, Response

from adapters.invoice_html import invoice_page
from adapters.postgres import contact_emails
from entrypoints.console.available_actions import admin_closed_state, next_charge, refusals, upcoming_events
from entrypoints.console.confirmation_digest import digest
from entrypoints.console.lifecycle_chart import picture_of
from entrypoints.console.page_context import PageContext
from entrypoints.console.views.subscription_pages import render_subscription
from starter.client import CurrentState
from subscription.adjustment import Adjustment
from subscription.attention import ShownAttention
from subscription.business_calendar import day_of
from subscription.deadlines import next_deadline
from subscription.decide import latest_cancellation
from subscription.domain_verification import PendingDomain, last_check_at, verification_records
from subscription.invoice import Invoice
from subscription.ledger import LedgerLine
from subscription.model import Frozen
from subscription.price_rises import price_rises
from subscription.state import Subscription


class Proof(Frozen):
    """Pending domain verification: DNS records to publish, and times of the checks."""

    domain: str
    records: tuple[tuple[str, str, str], ...]
    last_check_at: datetime | None
    next_check_at: datetime


async def detail(page: PageContext) -> Response:
    return await shown(page)


async def shown(page: PageContext, *, problems: dict[str, str] | None = None, status: int = 200) -> Response:
    subscription_id, client = page.subscription_id, page.client
    current = await client.current_state(subscription_id)
    past = await client.history(subscription_id)
    state, invoices = current.state, await _invoices(page, current)
    ledger, adjustments = await client.ledger(subscription_id), await client.adjustments(subscription_id)
    charges: list[LedgerLine | Adjustment] = [*ledger, *adjustments]
    numbers = {key: invoice.number for invoice in invoices for key in invoice.keys}
    return await render_subscription(
        page,
        "detail.html",
        current,
        status=status,
        problems=problems or {},
        contact_email=await contact_emails.contact_email(page.console.pool, subscription_id),
        in_use=current.members_in_use or 0,
        locked=current.locked_members,
        rises=price_rises(state, current.now, current.book),
        latest_cancellation=latest_cancellation(state, day_of(current.now)) if state.contract else None,
        picture=picture_of(current, past),
        coming=upcoming_events(state, current.book, 6),
        next_charge=next_charge(state, current.book),
        past=[*zip(past, await client.timeline(subscription_id), strict=False)][::-1],
        ledger=ledger,
        adjustments=adjustments,
        numbers=numbers,
        charged=sum(charge.amount for charge in charges),
        not_invoiced=sum(charge.amount for charge in charges if charge.key not in numbers),
        invoices=invoices,
        certificates=await client.certificates(subscription_id) if state.state.is_terminal else (),
        refusals={action: refused and page.refusal(refused) for action, refused in refusals(current).items()},
        attention=await _attention(page, state),
        command_id=str(uuid.uuid4()),
        withdrawal_shown=withdrawal_shown(page, current),
        next_deadline=next_deadline(state),
        clock_shown=clock_shown(page, current, current.now.isoformat()),
        admin_closed=admin_closed_state(state),
        proofs=[_proof(domain, current) for domain in state.pending_domains],
        clock_moves=page.console.settings.developer_sign_in and not state.state.is_terminal,
        temporal_ui=page.console.settings.temporal_ui_url if page.caller.is_operator else None,
    )


def withdrawal_shown(page: PageContext, current: CurrentState) -> str:
    """Return the digest of the facts of [Withdraw the Reservation]."""
    return digest(page, "withdraw", current.state.subscription_id, current.state.reservation)


def clock_shown(page: PageContext, current: CurrentState, now: str) -> str:
    """Return the digest of the facts of the test clock: its time and the next deadline."""
    return digest(page, "clock", current.state.subscription_id, now, next_deadline(current.state))


async def _attention(page: PageContext, state: Subscription) -> ShownAttention | None:
    """Return the reason for NeedsAttention, for operators only."""
    if not page.caller.is_operator or state.state.is_terminal:
        return None
    return await page.client.attention(state.subscription_id)


def _proof(pending_domain: PendingDomain, current: CurrentState) -> Proof:
    policy = current.book.domain_policy
    proof = verification_records(pending_domain.name, pending_domain.token, policy.cname_target)
    return Proof(
        domain=pending_domain.name,
        records=(
            ("TXT", proof.txt_name, proof.txt_value),
            ("CNAME", proof.cname_name, proof.cname_target),
            ("MX", proof.mx_name, proof.mx_exchange),
        ),
        last_check_at=last_check_at(pending_domain, current.now, policy),
        next_check_at=pending_domain.after_failed_check(current.now, policy).next_check_at,
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


async def invoice(page: PageContext) -> Response:
    """Return the invoice document with a Content-Security-Policy that allows only its inline style."""
    number: str = page.request.path_params["number"]
    found = await page.client.invoice(number)
    document = invoice_page(found, page.translator.language, await page.client.price_book())
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; sandbox"
    return HTMLResponse(document, headers={"Content-Security-Policy": policy})
