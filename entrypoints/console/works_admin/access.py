"""Access to NAVER WORKS Admin, as the table of states defines it."""

from starlette.responses import Response

from entrypoints.console.page_context import PageContext, ShortCircuitResponse
from entrypoints.console.works_admin.closed_reason import closed_reason
from starter.client import CurrentState
from subscription.state import Access


async def open_subscription(page: PageContext) -> CurrentState:
    """Return the state of the administrator's subscription; without access, respond with the reason."""
    current = await page.client.current_state(page.subscription_id)
    if current.state.access is Access.NONE:
        raise ShortCircuitResponse(await closed_page(page, current))
    return current


async def closed_page(page: PageContext, current: CurrentState) -> Response:
    why = closed_reason(current.state, page.translator)
    subscription = None if current.state.state.is_terminal else current.state.subscription_id
    return await page.render("works_admin/no_access.html", why=why, subscription=subscription, status=403)
