"""The form of a subscription's contact email address (R8)."""

from collections.abc import Mapping

from pydantic_core import PydanticCustomError
from starlette.responses import Response

from adapters.postgres import contact_emails
from entrypoints.console.confirmation_digest import digest, is_as_shown
from entrypoints.console.page_context import PageContext
from entrypoints.console.views.subscription_pages import render_subscription
from entrypoints.console.views.subscription_tabs import Tab, tab_url
from subscription.email_address import email_address
from subscription.refusals import Refusal, RefusalCode
from subscription.validation import problem_in

_ENDED = Refusal.of(RefusalCode.SUBSCRIPTION_ENDED)


async def get_contact_email(page: PageContext) -> Response:
    return await _shown(page)


async def post_contact_email(page: PageContext) -> Response:
    """Replace or remove the address if it is still the one that the page showed."""
    gettext, entered = page.translator.gettext, page.form.get("contact_email", "").strip()
    if page.chooses_language:
        return await _shown(page, entered)
    try:
        wanted = email_address(entered) if entered else None
    except PydanticCustomError as error:
        return await _shown(page, entered, {"contact_email": page.refusal(problem_in(error))}, 422)
    await page.client.status(page.subscription_id)  # raises if the caller has no such subscription
    pool = page.console.pool
    present = await contact_emails.contact_email(pool, page.subscription_id)
    if present != wanted:  # the same form can be sent twice
        if not is_as_shown(page, _address_shown(page, present)):
            changed = gettext("The address has changed since you opened the page. Nothing was saved.")
            return await _shown(page, entered, {"": changed}, 409)
        if not await contact_emails.set_contact_email(pool, page.subscription_id, wanted):
            return await _shown(page, entered, {"": page.refusal(_ENDED)}, 409)
    said = gettext("The contact email is saved.") if wanted else gettext("The contact email is removed.")
    return await page.redirect(tab_url(page.subscription_id, Tab.SETTINGS), said)


async def _shown(
    page: PageContext,
    entered: str | None = None,
    problems: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    current = await page.client.current_state(page.subscription_id)
    present = await contact_emails.contact_email(page.console.pool, page.subscription_id)
    possible = current.state.state.accepts_commands
    return await render_subscription(
        page,
        "command/contact_email.html" if possible else "command/not_available.html",
        current,
        status=status if possible else 409,
        problems=problems or {},
        address=present or "" if entered is None else entered,
        shown=_address_shown(page, present),
        refused=page.refusal(_ENDED),
    )


def _address_shown(page: PageContext, address: str | None) -> str:
    return digest(page, "contact email", page.subscription_id, address)
