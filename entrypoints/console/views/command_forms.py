"""Shared parts of all command forms; forms for rename, domain check and withdrawal."""

import uuid
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from entrypoints.console.available_actions import Action, catalogue_now, refusals
from entrypoints.console.confirmation_digest import command_id, digest, is_as_shown, was_carried_out
from entrypoints.console.event_messages import MessageFormatter
from entrypoints.console.page_context import PageContext
from entrypoints.console.views.subscription_detail import account_of, shown, withdrawal_shown
from starter.client import CurrentState
from subscription.business_calendar import day_of
from subscription.refusals import Problem, RefusalCode, RefusalError
from subscription.timeline import Answer


async def run_client(
    visit: PageContext, name: str, argument: Mapping[str, Any], seen: CurrentState | None = None
) -> Answer:
    """Send a command. Its ID, the idempotency key, is that of the form: a double click has one effect (R22).

    The rules refuse the command if an event, a new day or a new catalogue version has occurred since `seen`,
    the state that the form's digest was compared with.
    """
    assert visit.session is not None
    metadata: dict[str, Any] = {"id": command_id(visit) or str(uuid.uuid4()), "by": visit.session.name}
    if seen is not None:
        metadata["expects"] = seen.expected.model_dump(mode="json")
    return await visit.desk.command(visit.subscription_id, name, {**argument, **metadata})


async def redirect_with_result(visit: PageContext, answer: Answer) -> Response:
    """Redirect to the subscription page, which shows the events of the command as a flash message."""
    events = [entry.sequence for entry in answer.events]
    happened = await visit.desk.history(visit.subscription_id)
    speak = MessageFormatter(visit.words, await visit.desk.price_book())
    said = " ".join(speak.event(happened[number - 1]) for number in events if number <= len(happened))
    return await visit.go(f"/subscriptions/{visit.subscription_id}", said or answer.message)


async def form_page(
    visit: PageContext,
    template: str,
    standing: CurrentState,
    action: Action,
    *,
    status: int = 200,
    **context: Any,
) -> Response:
    """Return the page of an action. If the action is not possible now, the page shows only the reason."""
    refused = refusals(standing)[action]
    return await visit.page(
        template if refused is None else "command/not_available.html",
        status=status if refused is None else 409,
        action=action,
        state=standing.state,
        today=day_of(standing.now),
        account=account_of(standing),
        speak=MessageFormatter(visit.words, standing.book),
        command_id=str(uuid.uuid4()),
        refused=refused and visit.refusal(refused),
        **context,
    )


def changed_meanwhile(visit: PageContext) -> str:
    """Return the message for a confirmation of facts that have changed since the page was shown."""
    return visit.refusal(Problem.of(RefusalCode.CHANGED_MEANWHILE))


# -- withdrawal, domain verification ------------------------------------------------------------------


async def withdraw(visit: PageContext) -> Response:
    standing = await visit.desk.standing(visit.subscription_id)
    if not await was_carried_out(visit) and not is_as_shown(visit, withdrawal_shown(visit, standing)):
        return await shown(visit, problems={"": changed_meanwhile(visit)}, status=409)
    try:
        return await redirect_with_result(
            visit, await run_client(visit, "withdraw_reservation", {}, standing)
        )
    except RefusalError as refusal:
        return await shown(visit, problems={"": visit.refusal(refusal.refused)}, status=422)


async def check_domain(visit: PageContext) -> Response:
    say = visit.words.say
    try:
        answer = await run_client(visit, "check_domain", {})
    except RefusalError as refusal:
        return await shown(visit, problems={"": visit.refusal(refusal.refused)}, status=422)
    if not answer.events:
        not_yet = say("Record not found yet. We will keep checking; DNS changes can take up to 72 hours.")
        return await visit.go(f"/subscriptions/{visit.subscription_id}", not_yet)
    return await redirect_with_result(visit, answer)


# -- rename (R10) --------------------------------------------------------------------------------------


async def show_rename(visit: PageContext) -> Response:
    standing = await visit.desk.standing(visit.subscription_id)
    account = standing.state.account
    return await _rename_page(visit, standing, account.kind.value if account else "GROUP", "")


async def take_rename(visit: PageContext) -> Response:
    standing = await visit.desk.standing(visit.subscription_id)
    kind = "DOMAIN" if visit.form.get("kind") == "DOMAIN" else "GROUP"
    name = visit.form.get("name", "").strip()[:300]
    if visit.chooses_language:
        return await _rename_page(visit, standing, kind, name)
    if not await was_carried_out(visit) and not is_as_shown(visit, _rename_shown(visit, standing)):
        return await _rename_page(visit, standing, kind, name, {"": changed_meanwhile(visit)}, 409)
    try:
        return await redirect_with_result(
            visit, await run_client(visit, "rename_account", {kind.lower(): name}, standing)
        )
    except RefusalError as refusal:
        problems = visit.problems(refusal.refused, group="name", domain="name", account_group="name")
        problems = {"name": " ".join(problems.values())}
        standing = await visit.desk.standing(visit.subscription_id)
        return await _rename_page(visit, standing, kind, name, problems, 422)


async def _rename_page(
    visit: PageContext,
    standing: CurrentState,
    kind: str,
    name: str,
    problems: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    return await form_page(
        visit,
        "command/rename.html",
        standing,
        Action.RENAME,
        entered={"kind": kind, "name": name},
        lock_hours=catalogue.account.rename_lock_hours if (catalogue := catalogue_now(standing)) else 0,
        shown=_rename_shown(visit, standing),
        problems=problems or {},
        status=status,
    )


def _rename_shown(visit: PageContext, standing: CurrentState) -> str:
    state = standing.state
    held = state.rename_claim.name if state.rename_claim else None
    return digest(visit, "rename", state.subscription_id, state.account, held)
