"""The subscription page and the invoice page."""

import uuid
from datetime import datetime

from starlette.responses import HTMLResponse, Response

from adapters.invoice_html import invoice_page
from entrypoints.console.available_actions import admin_closed_state, refusals, upcoming_events
from entrypoints.console.confirmation_digest import digest
from entrypoints.console.event_messages import MessageFormatter
from entrypoints.console.lifecycle_chart import picture_of
from entrypoints.console.page_context import PageContext
from starter.client import CurrentState
from subscription.adjustment import Adjustment
from subscription.attention import ShownAttention
from subscription.business_calendar import day_of
from subscription.commands import confirmation_for
from subscription.deadlines import next_deadline
from subscription.domain_verification import PendingDomain, last_check_at, verification_records
from subscription.invoice import Invoice
from subscription.ledger import LedgerLine
from subscription.model import Frozen
from subscription.state import Subscription


class Proof(Frozen):
    """Pending domain verification: DNS records to publish, and times of the checks."""

    domain: str
    records: tuple[tuple[str, str, str], ...]
    last_look_at: datetime | None
    next_look_at: datetime


async def detail(visit: PageContext) -> Response:
    return await shown(visit)


async def shown(visit: PageContext, *, problems: dict[str, str] | None = None, status: int = 200) -> Response:
    subscription_id, desk = visit.subscription_id, visit.desk
    standing = await desk.standing(subscription_id)
    past = await desk.history(subscription_id)
    state, invoices = standing.state, await _invoices(visit, standing)
    ledger, adjustments = await desk.ledger(subscription_id), await desk.adjustments(subscription_id)
    charges: list[LedgerLine | Adjustment] = [*ledger, *adjustments]
    numbers = {key: invoice.number for invoice in invoices for key in invoice.keys}
    return await visit.page(
        "detail.html",
        status=status,
        problems=problems or {},
        state=state,
        today=day_of(standing.now),
        now=standing.now,
        speak=MessageFormatter(visit.words, standing.book),
        account=account_of(standing),
        picture=picture_of(standing, past),
        coming=upcoming_events(state, standing.book, 6),
        past=tuple(reversed(past)),
        ledger=ledger,
        adjustments=adjustments,
        numbers=numbers,
        charged=sum(each.amount for each in charges),
        not_invoiced=sum(each.amount for each in charges if each.key not in numbers),
        invoices=invoices,
        certificates=await desk.certificates(subscription_id) if state.state.over else (),
        refusals={
            action: refused and visit.refusal(refused) for action, refused in refusals(standing).items()
        },
        attention=await _attention(visit, state),
        command_id=str(uuid.uuid4()),
        withdrawal_shown=withdrawal_shown(visit, standing),
        next_deadline=next_deadline(state),
        clock_shown=clock_shown(visit, standing, standing.now.isoformat()),
        admin_closed=admin_closed_state(state),
        proofs=[_proof(claim, standing) for claim in state.claims],
        clock_moves=visit.console.settings.embedded and not state.state.over,
        temporal_ui=visit.console.settings.temporal_ui_url if visit.caller.is_operator else None,
    )


def withdrawal_shown(visit: PageContext, standing: CurrentState) -> str:
    """Return the digest of the facts of [Withdraw the Reservation]."""
    return digest(visit, "withdraw", standing.state.subscription_id, standing.state.reservation)


def clock_shown(visit: PageContext, standing: CurrentState, now: str) -> str:
    """Return the digest of the facts of the test clock: its time and the next deadline."""
    return digest(visit, "clock", standing.state.subscription_id, now, next_deadline(standing.state))


def account_of(standing: CurrentState) -> str | None:
    """Return `ID@name`; None after the erasure."""
    state = standing.state
    named = state.admin_id is not None and state.account is not None
    return confirmation_for(state.admin_id, state.account) if named else None  # type: ignore[arg-type]


async def _attention(visit: PageContext, state: Subscription) -> ShownAttention | None:
    """Return the reason for NeedsAttention, for operators only."""
    if not visit.caller.is_operator or state.state.over:
        return None
    return await visit.desk.attention(state.subscription_id)


def _proof(claim: PendingDomain, standing: CurrentState) -> Proof:
    policy = standing.book.domain_policy
    proof = verification_records(claim.name, claim.token, policy.cname_target)
    return Proof(
        domain=claim.name,
        records=(
            ("TXT", proof.txt_name, proof.txt_value),
            ("CNAME", proof.cname_name, proof.cname_target),
        ),
        last_look_at=last_check_at(claim, standing.now, policy),
        next_look_at=claim.after_failed_check(standing.now, policy).next_look_at,
    )


async def _invoices(visit: PageContext, standing: CurrentState) -> list[Invoice]:
    """Return the invoices that contain this subscription, the latest first."""
    invoices = await visit.desk.invoices(customer_id=standing.state.customer_id, limit=500)
    subscription_id = standing.state.subscription_id
    return [
        invoice
        for invoice in reversed(invoices)
        if any(part.subscription_id == subscription_id for part in invoice.subscriptions)
    ]


async def invoice(visit: PageContext) -> Response:
    """Return the invoice document with a Content-Security-Policy that allows only its inline style."""
    number: str = visit.request.path_params["number"]
    found = await visit.desk.invoice(number)
    page = invoice_page(found, visit.words.language, await visit.desk.price_book())
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; sandbox"
    return HTMLResponse(page, headers={"Content-Security-Policy": policy})
