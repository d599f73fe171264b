"""The common context of all pages of a subscription."""

from typing import Any

from starlette.responses import HTMLResponse

from entrypoints.console.message_formatter import MessageFormatter
from entrypoints.console.page_context import PageContext
from starter.client import CurrentState
from subscription.business_calendar import day_of
from subscription.forecast import automatic_cancellation


async def render_subscription(
    page: PageContext, template: str, current: CurrentState, *, status: int = 200, **context: Any
) -> HTMLResponse:
    """Render a page of the subscription, with the banner if a deadline will cancel it (R34)."""
    state, today = current.state, day_of(current.now)
    deletion = automatic_cancellation(state, current.book)
    return await page.render(
        template,
        status=status,
        state=state,
        today=today,
        now=current.now,
        account=state.admin_account,
        messages=MessageFormatter(page.translator, current.book),
        last_export_at=current.last_export_at,
        deletion=deletion,
        deletion_days=(day_of(deletion.at) - today).days if deletion else 0,
        trial_days=(day_of(state.trial_ends_at) - today).days if state.trial_ends_at else 0,
        **context,
    )
