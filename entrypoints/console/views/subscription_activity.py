"""The tab Activity of a subscription: its events with their issuers, and its notices (R34)."""

from starlette.responses import Response

from entrypoints.console.page_context import PageContext
from entrypoints.console.views.subscription_tabs import Tab, render_tab

_SHOWN = 50
"""Events, or notices, of one page."""


async def activity(page: PageContext) -> Response:
    """Show the events of the subscription, the latest first, also after its erasure."""
    subscription_id, client = page.subscription_id, page.client
    current = await client.current_state(subscription_id)
    events = await client.history(subscription_id)
    past = [*zip(events, await client.timeline(subscription_id), strict=False)][::-1]
    return await render_tab(page, Tab.ACTIVITY, "activity.html", current, past=past)


async def notices(page: PageContext) -> Response:
    """Show the notices of the subscription, the latest first, also after its erasure."""
    current = await page.client.current_state(page.subscription_id)
    before = page.request.query_params.get("before", "")
    found = await page.client.latest_notices(page.subscription_id, before=_number(before), limit=_SHOWN + 1)
    shown = found[:_SHOWN]
    return await render_tab(
        page,
        Tab.ACTIVITY,
        "notices.html",
        current,
        notices=shown,
        older=shown[-1].number if len(found) > _SHOWN else None,
    )


def _number(text: str) -> int | None:
    """Return the number of a notice; None for other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
