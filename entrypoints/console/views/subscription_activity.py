"""The tab Activity of a subscription: its events with their issuers, and its notices (R34)."""

from starlette.responses import Response

from entrypoints.console.page_context import PageContext
from entrypoints.console.views.subscription_tabs import Tab, render_tab
from subscription.issuer import Channel

_SHOWN = 50
"""Events, or notices, of one page."""


async def activity(page: PageContext) -> Response:
    """Show the events of the subscription, the latest first, also after its erasure.

    `show=requested` leaves out the events that no command caused.
    """
    subscription_id, client = page.subscription_id, page.client
    current = await client.current_state(subscription_id)
    events, entries = await client.history(subscription_id), await client.timeline(subscription_id)
    requested, before = page.request.query_params.get("show") == "requested", _before(page)
    found = [
        (event, entry)
        for event, entry in zip(events, entries, strict=False)
        if (before is None or entry.sequence < before) and not (requested and entry.channel is Channel.SYSTEM)
    ][::-1]
    past = found[:_SHOWN]
    return await render_tab(
        page,
        Tab.ACTIVITY,
        "activity.html",
        current,
        past=past,
        requested=requested,
        older=past[-1][1].sequence if len(found) > _SHOWN else None,
    )


async def notices(page: PageContext) -> Response:
    """Show the notices of the subscription, the latest first, also after its erasure."""
    current = await page.client.current_state(page.subscription_id)
    found = await page.client.latest_notices(page.subscription_id, before=_before(page), limit=_SHOWN + 1)
    shown = found[:_SHOWN]
    return await render_tab(
        page,
        Tab.ACTIVITY,
        "notices.html",
        current,
        notices=shown,
        older=shown[-1].number if len(found) > _SHOWN else None,
    )


def _before(page: PageContext) -> int | None:
    """Return the number in the address, which the entries of the page precede; None for other text."""
    text = page.request.query_params.get("before", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
