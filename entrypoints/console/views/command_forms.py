"""Shared parts of all command forms; forms for domain check and withdrawal."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from entrypoints.console.available_actions import Action, refusals
from entrypoints.console.confirmation_digest import command_id, is_as_shown, new_command_id, was_carried_out
from entrypoints.console.message_formatter import MessageFormatter
from entrypoints.console.page_context import PageContext
from entrypoints.console.sessions import Flash, FlashTone
from entrypoints.console.views.subscription_detail import shown
from entrypoints.console.views.subscription_pages import render_subscription
from entrypoints.console.views.subscription_settings import settings_shown
from entrypoints.console.views.subscription_tabs import Tab, tab_url, withdrawal_shown
from starter.client import CurrentState
from subscription.event_messages import SENTENCES
from subscription.refusals import Problem, Refusal, RefusalCode, RefusalError
from subscription.timeline import Answer

_ENDING = frozenset({"CANCELLATION_RESERVED", "CANCELED", "ERASED"})
_STATE_CHANGED = frozenset(
    {RefusalCode.CHANGED_MEANWHILE, RefusalCode.SUBSCRIPTION_ENDED, RefusalCode.MEMBERS_IN_USE}
)


async def run_client(
    page: PageContext, name: str, argument: Mapping[str, Any], seen: CurrentState | None = None
) -> Answer:
    """Send a command. Its ID, the idempotency key, is that of the form: a double click has one effect (R22).

    The rules refuse the command if an event, a new day or a new catalogue version has occurred since `seen`,
    the state that the form's digest was compared with.
    """
    metadata: dict[str, Any] = {"id": command_id(page) or new_command_id()}
    if seen is not None:
        metadata["expects"] = seen.expected.model_dump(mode="json")
    return await page.client.command(page.subscription_id, name, {**argument, **metadata})


async def current_after(page: PageContext, refused: Refusal, seen: CurrentState) -> CurrentState:
    """Return the state to show with a refusal. It is loaded again only if it differs from `seen`.

    `run_client` sends `seen` with the command, so any other refusal is decided by that very state.
    """
    if refused.code in _STATE_CHANGED:
        return await page.client.current_state(page.subscription_id)
    return seen


async def redirect_with_result(page: PageContext, answer: Answer, tab: Tab = Tab.OVERVIEW) -> Response:
    """Redirect to the subscription page, which shows the events of the command as a flash message."""
    return await page.redirect(tab_url(page.subscription_id, tab), await result_of(page, answer))


async def result_of(page: PageContext, answer: Answer) -> Flash:
    """Return the messages of the command's events, in the language of the page."""
    events = [entry.sequence for entry in answer.events]
    happened = await page.client.history(page.subscription_id)
    messages = MessageFormatter(page.translator, await page.client.price_book())
    said = " ".join(messages.event(happened[number - 1]) for number in events if number <= len(happened))
    ends = any(entry.event in _ENDING for entry in answer.events)
    return Flash(said or answer.message, FlashTone.NEUTRAL if ends else FlashTone.GOOD)


async def form_page(
    page: PageContext,
    template: str,
    current: CurrentState,
    action: Action,
    *,
    status: int = 200,
    not_available: str = "command/not_available.html",
    **context: Any,
) -> Response:
    """Return the page of an action. If the action is not possible now, the page shows only the reason."""
    refused = refusals(current)[action]
    return await render_subscription(
        page,
        template if refused is None else not_available,
        current,
        status=status if refused is None else 409,
        action=action,
        command_id=new_command_id(),
        refused=refused and page.refusal(refused),
        in_use=current.members_in_use or 0,
        **context,
    )


def changed_meanwhile(page: PageContext) -> str:
    """Return the message for a confirmation of facts that have changed since the page was shown."""
    return page.refusal(Problem.of(RefusalCode.CHANGED_MEANWHILE))


# -- withdrawal, domain verification ------------------------------------------------------------------


async def withdraw(page: PageContext) -> Response:
    current = await page.client.current_state(page.subscription_id)
    if not await was_carried_out(page) and not is_as_shown(page, withdrawal_shown(page, current)):
        return await shown(page, problems={"": changed_meanwhile(page)}, status=409)
    try:
        return await redirect_with_result(page, await run_client(page, "withdraw_reservation", {}, current))
    except RefusalError as refusal:
        return await shown(page, problems={"": page.refusal(refusal.refused)}, status=422)


async def check_domain(page: PageContext) -> Response:
    try:
        answer = await run_client(page, "check_domain", {})
    except RefusalError as refusal:
        return await settings_shown(page, problems={"": page.refusal(refusal.refused)}, status=422)
    if not answer.events:
        not_yet = SENTENCES["NO_PROOF_YET"]
        settings = tab_url(page.subscription_id, Tab.SETTINGS)
        return await page.redirect(settings, Flash(page.translator.gettext(not_yet), FlashTone.NEUTRAL))
    return await redirect_with_result(page, answer, Tab.SETTINGS)
