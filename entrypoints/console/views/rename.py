"""The form that changes the account name (R10): in the console and in NAVER WORKS Admin."""

from collections.abc import Mapping

from starlette.responses import Response

from entrypoints.console.available_actions import Action, catalogue_now
from entrypoints.console.confirmation_digest import digest, is_as_shown, was_carried_out
from entrypoints.console.page_context import PageContext
from entrypoints.console.sessions import SessionKind
from entrypoints.console.views.command_forms import (
    changed_meanwhile,
    current_after,
    form_page,
    redirect_with_result,
    result_of,
    run_client,
)
from entrypoints.console.works_admin.access import open_subscription
from starter.client import CurrentState
from subscription.refusals import RefusalError


async def get_rename(page: PageContext) -> Response:
    current = await _current(page)
    account = current.state.account
    return await _rename_page(page, current, account.kind.value if account else "GROUP", "")


async def post_rename(page: PageContext) -> Response:
    current = await _current(page)
    kind = "DOMAIN" if page.form.get("kind") == "DOMAIN" else "GROUP"
    name = page.form.get("name", "").strip()[:300]
    if page.chooses_language:
        return await _rename_page(page, current, kind, name)
    if not await was_carried_out(page) and not is_as_shown(page, _rename_shown(page, current)):
        return await _rename_page(page, current, kind, name, {"": changed_meanwhile(page)}, 409)
    try:
        answer = await run_client(page, "rename_account", {kind.lower(): name}, current)
    except RefusalError as refusal:
        problems = page.problems(refusal.refused, group="name", domain="name", account_group="name")
        problems = {"name": " ".join(problems.values())}
        current = await current_after(page, refusal.refused, current)
        return await _rename_page(page, current, kind, name, problems, 422)
    if _is_admin(page):
        return await page.redirect("/works", await result_of(page, answer))
    return await redirect_with_result(page, answer)


async def _current(page: PageContext) -> CurrentState:
    if _is_admin(page):
        return await open_subscription(page)
    return await page.client.current_state(page.subscription_id)


def _is_admin(page: PageContext) -> bool:
    return page.realm is SessionKind.WORKS_ADMIN


async def _rename_page(
    page: PageContext,
    current: CurrentState,
    kind: str,
    name: str,
    problems: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    place = "works_admin" if _is_admin(page) else "command"
    return await form_page(
        page,
        f"{place}/rename.html",
        current,
        Action.RENAME,
        not_available=f"{place}/not_available.html",
        entered={"kind": kind, "name": name},
        lock_hours=catalogue.account.rename_lock_hours if (catalogue := catalogue_now(current)) else 0,
        shown=_rename_shown(page, current),
        problems=problems or {},
        status=status,
    )


def _rename_shown(page: PageContext, current: CurrentState) -> str:
    state = current.state
    held = state.pending_rename_domain.name if state.pending_rename_domain else None
    return digest(page, "rename", state.subscription_id, state.account, held)
