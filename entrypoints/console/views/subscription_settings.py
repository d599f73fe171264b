"""The tab Settings of a subscription: names, contact, contract, domain verification and export."""

from datetime import datetime

from starlette.responses import Response

from adapters.postgres import contact_emails
from entrypoints.console.page_context import PageContext
from entrypoints.console.views.subscription_tabs import Tab, render_tab, tab_url
from starter.client import CurrentState
from subscription.domain_verification import PendingDomain, last_check_at, verification_records
from subscription.model import Frozen


class Proof(Frozen):
    """Pending domain verification: DNS records to publish, and times of the checks."""

    domain: str
    records: tuple[tuple[str, str, str], ...]
    last_check_at: datetime | None
    next_check_at: datetime


async def settings(page: PageContext) -> Response:
    return await settings_shown(page)


async def settings_shown(
    page: PageContext, *, problems: dict[str, str] | None = None, status: int = 200
) -> Response:
    """Show the settings; an erased subscription has none, so its Overview is shown."""
    current = await page.client.current_state(page.subscription_id)
    if current.state.state.is_terminal:
        return await page.redirect(tab_url(page.subscription_id, Tab.OVERVIEW))
    return await render_tab(
        page,
        Tab.SETTINGS,
        "settings.html",
        current,
        status=status,
        problems=problems or {},
        contact_email=await contact_emails.contact_email(page.console.pool, page.subscription_id),
        proofs=proofs_of(current),
    )


def proofs_of(current: CurrentState) -> list[Proof]:
    """Return the pending verifications: of the account's domain, and of a domain that a rename holds."""
    return [_proof(domain, current) for domain in current.state.pending_domains]


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
