"""Test clock controls (local stack only)."""

from datetime import datetime, timedelta

from starlette.responses import Response

from entrypoints.console.confirmation_digest import is_as_shown
from entrypoints.console.page_context import PageContext
from entrypoints.console.sessions import Flash, FlashTone
from entrypoints.console.views.subscription_detail import shown
from entrypoints.console.views.subscription_tabs import Tab, clock_shown, tab_url
from starter.subscription_clock import ClockNotSupportedError
from subscription.deadlines import next_deadline


async def advance(page: PageContext) -> Response:
    """Advance the test clock by a day, by a month, or to the next deadline, from the time the page showed."""
    current = await page.client.current_state(page.subscription_id)
    shown_at = page.form.get("now", "")
    if not is_as_shown(page, clock_shown(page, current, shown_at)):
        said = page.translator.gettext(
            "Something has happened since you opened the page. The clock was not moved."
        )
        return await shown(page, problems={"": said}, status=409)
    match page.form.get("by"):
        case "month":
            target = datetime.fromisoformat(shown_at) + timedelta(days=30)
        case "next" if deadline := next_deadline(current.state):
            target = deadline.at
        case _:
            target = datetime.fromisoformat(shown_at) + timedelta(days=1)
    if target > current.now:
        try:
            await page.client.advance_clock(page.subscription_id, target)
        except ClockNotSupportedError:
            said = page.translator.gettext("This server cannot move a subscription's clock.")
            return await shown(page, problems={"": said}, status=409)
        await page.client.settle(page.subscription_id)
        issued = await page.client.issue_invoices_between(page.subscription_id, current.now, target)
    else:
        issued = 0
    current = await page.client.current_state(page.subscription_id)
    said = page.translator.gettext("It is %(now)s now.", now=page.translator.moment(max(current.now, target)))
    if issued:
        said += " " + page.translator.ngettext(
            "%(n)s invoice was issued.", "%(n)s invoices were issued.", issued
        )
    sent_from = page.form.get("tab", "")
    tab = Tab(sent_from) if sent_from in tuple(Tab) else Tab.OVERVIEW
    return await page.redirect(tab_url(page.subscription_id, tab), Flash(said, FlashTone.NEUTRAL))
