"""The tab Overview of a subscription."""

from starlette.responses import Response

from entrypoints.console.available_actions import upcoming_events
from entrypoints.console.lifecycle_chart import picture_of
from entrypoints.console.page_context import PageContext
from entrypoints.console.views.subscription_tabs import Tab, render_tab
from subscription.business_calendar import day_of
from subscription.decide import latest_cancellation
from subscription.price_rises import price_rises


async def overview(page: PageContext) -> Response:
    return await shown(page)


async def shown(page: PageContext, *, problems: dict[str, str] | None = None, status: int = 200) -> Response:
    subscription_id, client = page.subscription_id, page.client
    current = await client.current_state(subscription_id)
    state = current.state
    return await render_tab(
        page,
        Tab.OVERVIEW,
        "overview.html",
        current,
        status=status,
        problems=problems or {},
        rises=price_rises(state, current.now, current.book),
        latest_cancellation=latest_cancellation(state, day_of(current.now)) if state.contract else None,
        picture=picture_of(current, await client.history(subscription_id)),
        coming=upcoming_events(state, current.book, 6),
        certificates=await client.certificates(subscription_id) if state.state.is_terminal else (),
        temporal_ui=page.console.settings.temporal_ui_url if page.caller.is_operator else None,
    )
