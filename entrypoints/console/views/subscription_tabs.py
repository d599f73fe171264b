"""The frame of the pages of a subscription: its header, its summary and its tabs."""

from enum import StrEnum
from typing import Any

from starlette.responses import HTMLResponse

from entrypoints.console.available_actions import next_charge, refusals
from entrypoints.console.confirmation_digest import digest, new_command_id
from entrypoints.console.next_step import next_step
from entrypoints.console.page_context import PageContext
from entrypoints.console.views.subscription_pages import render_subscription
from entrypoints.console.works_admin.closed_reason import closed_reason
from starter.client import CurrentState
from subscription.attention import ShownAttention
from subscription.deadlines import next_change, next_deadline
from subscription.state import Subscription


class Tab(StrEnum):
    OVERVIEW = "overview"
    BILLING = "billing"
    ACTIVITY = "activity"
    SETTINGS = "settings"


def tab_url(subscription_id: str, tab: Tab) -> str:
    overview = f"/subscriptions/{subscription_id}"
    return overview if tab is Tab.OVERVIEW else f"{overview}/{tab}"


async def render_tab(
    page: PageContext, tab: Tab, template: str, current: CurrentState, *, status: int = 200, **context: Any
) -> HTMLResponse:
    """Render a page of a tab. Each tab loads its own data; the frame needs the current state alone."""
    state = current.state
    refused = refusals(current)
    return await render_subscription(
        page,
        f"subscription/{template}",
        current,
        status=status,
        tab=tab,
        tabs={each: tab_url(state.subscription_id, each) for each in _tabs(state)},
        step=next_step(current, refused),
        refusals={action: why and page.refusal(why) for action, why in refused.items()},
        admin_closed=closed_reason(state, page.translator),
        next_charge=next_charge(state, current.book),
        next_deadline=next_deadline(state),
        next_change=next_change(state),
        in_use=current.members_in_use or 0,
        locked=current.locked_members,
        attention=await _attention(page, state),
        command_id=new_command_id(),
        withdrawal_shown=withdrawal_shown(page, current),
        clock_shown=clock_shown(page, current, current.now.isoformat()),
        clock_moves=page.console.settings.developer_sign_in and not state.state.is_terminal,
        **context,
    )


def withdrawal_shown(page: PageContext, current: CurrentState) -> str:
    """Return the digest of the facts of [Withdraw the Reservation]."""
    return digest(page, "withdraw", current.state.subscription_id, current.state.reservation)


def clock_shown(page: PageContext, current: CurrentState, now: str) -> str:
    """Return the digest of the facts of the test clock: its time and the next deadline."""
    return digest(page, "clock", current.state.subscription_id, now, next_deadline(current.state))


def _tabs(state: Subscription) -> tuple[Tab, ...]:
    """Return the tabs that have content: an erased subscription has no settings."""
    return tuple(tab for tab in Tab if tab is not Tab.SETTINGS or not state.state.is_terminal)


async def _attention(page: PageContext, state: Subscription) -> ShownAttention | None:
    """Return the reason for NeedsAttention, for operators only."""
    if not page.caller.is_operator or state.state.is_terminal:
        return None
    return await page.client.attention(state.subscription_id)
