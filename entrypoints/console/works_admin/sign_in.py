"""Sign-in and sign-out of NAVER WORKS Admin."""

import asyncio
import math
from collections.abc import Mapping
from datetime import timedelta

from starlette.responses import HTMLResponse, Response

from adapters.password_hashing import HashingBusyError
from entrypoints.console.access_control import clear_cookie, set_session_cookie
from entrypoints.console.page_context import PageContext, cookie_name
from entrypoints.console.sessions import SessionKind
from entrypoints.console.works_admin.access import closed_page
from entrypoints.console.works_admin.login_throttle import Throttle
from entrypoints.console.works_admin.repository import WorksAdminRepository
from entrypoints.http.client_address import client_address
from entrypoints.http.sign_in_refusals import SignInRefusal
from subscription.state import Access

_MAX_ADMINISTRATORS = 4
"""The password is verified for at most this many subscriptions that claim the domain of an account.

The holder of the domain comes first, then the oldest claims. Later claims cannot exclude an earlier one."""


async def get_sign_in(page: PageContext) -> Response:
    if page.session is not None:
        return await page.redirect("/works")
    return await _sign_in_page(page, "")


async def sign_in(page: PageContext) -> Response:
    """Sign in an administrator. All failures have the same response and, for unknown accounts, the same cost.

    Otherwise a response or its duration would reveal whether an account exists (user enumeration). Only what
    the form itself shows is reported in detail: an account without its name, an empty password.
    """
    entered, password = page.form.get("account", "").strip()[:300], page.form.get("password", "")[:200]
    if page.chooses_language:
        return await _sign_in_page(page, entered)
    if problems := _incomplete(page, entered, password):
        return await _sign_in_page(page, entered, problems, 422)
    # IDs and names are lowercase, but the keyboards of phones capitalize the first character.
    account, address = entered.lower(), client_address(page.request.scope)
    began = asyncio.get_running_loop().time()
    throttle, record = Throttle(page.console.pool), WorksAdminRepository(page.console.pool)
    if (wait := await throttle.count(account, address)) is not None:
        return await _throttled(page, entered, wait)
    try:
        subscription_id = await _authenticate(page, record, account, password)
    except HashingBusyError as error:
        await throttle.uncount(account, address)  # the password was not verified
        page.refuse_sign_in(SignInRefusal.TOO_BUSY, error)
        raise
    if subscription_id is None:
        await _until_next_step(page.console.failure_step, began)
        page.refuse_sign_in(SignInRefusal.WRONG_PASSWORD)
        said = page.translator.gettext("The account or the password is wrong.")
        return await _sign_in_page(page, entered, {"": said}, 403)
    await throttle.uncount(account, address)
    current = await page.console.client.current_state(subscription_id)
    if current.state.access is Access.NONE:
        page.refuse_sign_in(SignInRefusal.NO_ACCESS)
        return await closed_page(page, current)
    if page.session is not None:
        await page.console.sessions.end(page.token)
    token = await page.console.sessions.begin(
        SessionKind.WORKS_ADMIN,
        # The client of an administrator is limited to this customer; without a customer it is an operator's.
        customer_id=current.state.customer_id,
        subscription_id=subscription_id,
        name=current.state.admin_account or "",
    )
    set_session_cookie(page, token)
    return await page.redirect("/works")


async def sign_out(page: PageContext) -> Response:
    await page.console.sessions.end(page.token)
    clear_cookie(page, cookie_name(page.realm, secure=page.console.settings.secure))
    return await page.redirect("/works/sign-in")


def _incomplete(page: PageContext, account: str, password: str) -> dict[str, str]:
    """Return the error messages of a form that cannot be the account and password of any administrator."""
    problems: dict[str, str] = {}
    admin_id, _, name = account.partition("@")
    if not admin_id or not name:
        problems["account"] = page.translator.gettext("Enter the account as ID@name, for example admin@acme.")
    if not password:
        problems["password"] = page.translator.gettext("Enter the password.")
    return problems


async def _throttled(page: PageContext, account: str, wait: timedelta) -> Response:
    page.refuse_sign_in(SignInRefusal.TOO_MANY_FAILURES)
    said = page.translator.ngettext(
        "Too many failed sign-ins. Try again in %(n)s minute.",
        "Too many failed sign-ins. Try again in %(n)s minutes.",
        math.ceil(wait / timedelta(minutes=1)),
    )
    response = await _sign_in_page(page, account, {"": said}, 429)
    response.headers["Retry-After"] = str(math.ceil(wait.total_seconds()))
    return response


async def _authenticate(
    page: PageContext, record: WorksAdminRepository, account: str, password: str
) -> str | None:
    """Return the subscription of the administrator with this account and password, or None.

    Several subscriptions may claim a domain, so an account may have several administrators. The passwords
    tell them apart. The number of computed hashes depends on the kind of the name alone: the duration does
    not reveal how many subscriptions claim the domain.
    """
    admin_id, _, name = account.partition("@")
    candidates = await page.console.client.of_account(admin_id, name, limit=_MAX_ADMINISTRATORS)
    hashes = await record.password_hashes(candidates)
    missing = (_MAX_ADMINISTRATORS if "." in name else 1) - len(candidates)
    authenticated = None
    for candidate in (*candidates, *[None] * missing):
        stored = hashes.get(candidate) if candidate else None
        if await page.console.hashing.verify(stored, password) and authenticated is None:
            authenticated = candidate
    return authenticated


async def _sign_in_page(
    page: PageContext, account: str, problems: Mapping[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    return await page.render(
        "works_admin/sign_in.html", account=account, problems=problems or {}, status=status
    )


async def _until_next_step(step: float, began: float) -> None:
    """Wait for the next full step, so that the duration of a failure reveals nothing (timing attack)."""
    taken = asyncio.get_running_loop().time() - began
    await asyncio.sleep(step - taken % step)
