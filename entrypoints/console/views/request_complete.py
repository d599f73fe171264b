"""The fifth step of a request: the created subscription, and the verification of its domain (R9, R12)."""

from starlette.responses import Response

from entrypoints.console.message_formatter import MessageFormatter
from entrypoints.console.page_context import PageContext
from entrypoints.console.views.command_forms import run_client
from entrypoints.console.views.subscription_settings import proofs_of
from entrypoints.console.works_admin.closed_reason import closed_reason
from subscription.account import AccountKind
from subscription.business_calendar import day_of
from subscription.event_messages import SENTENCES
from subscription.forecast import automatic_cancellation
from subscription.refusals import RefusalError
from subscription.state import State

PATH = "/request/complete/{subscription_id}"
_CHECKED = "checked"
"""Query parameter of the page after [Check now]."""


async def complete(page: PageContext) -> Response:
    """Show the subscription in its current state, and the records of a domain that is not verified yet."""
    return await _shown(page)


async def check_domain(page: PageContext) -> Response:
    """Check the domain now (R13), and show the result on the same page."""
    try:
        await run_client(page, "check_domain", {})
    except RefusalError as refusal:
        return await _shown(page, problems={"": page.refusal(refusal.refused)}, status=422)
    return await page.redirect(f"{PATH.format(subscription_id=page.subscription_id)}?{_CHECKED}=1")


async def _shown(page: PageContext, *, problems: dict[str, str] | None = None, status: int = 200) -> Response:
    current = await page.client.current_state(page.subscription_id)
    state, proofs = current.state, proofs_of(current)
    is_domain = state.account is not None and state.account.kind is AccountKind.DOMAIN
    result = "NO_PROOF_YET" if proofs else "DOMAIN_CONFIRMED"
    deletion = automatic_cancellation(state, current.book)
    return await page.render(
        "request/complete.html",
        status=status,
        problems=problems or {},
        state=state,
        messages=MessageFormatter(page.translator, current.book),
        admin_closed=closed_reason(state, page.translator),
        proofs=proofs,
        check_path=PATH.format(subscription_id=page.subscription_id),
        check_result=page.translator.gettext(SENTENCES[result])
        if is_domain and _CHECKED in page.request.query_params
        else "",
        canceled_on=day_of(deletion.at) if deletion and state.state is State.TRIAL else None,
    )
