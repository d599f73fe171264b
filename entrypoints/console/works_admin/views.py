"""Pages of NAVER WORKS Admin."""

import asyncio
from collections.abc import Mapping
from functools import partial

from pydantic_core import PydanticCustomError
from starlette.responses import Response

from adapters.password_hashing import HashingBusyError
from entrypoints.console.access_control import clear_cookie, set_session_cookie
from entrypoints.console.confirmation_digest import digest, is_as_shown
from entrypoints.console.message_formatter import MessageFormatter
from entrypoints.console.page_context import PageContext, ShortCircuitResponse, cookie_name
from entrypoints.console.sessions import SessionKind
from entrypoints.console.works_admin.closed_reason import closed_reason
from entrypoints.console.works_admin.login_throttle import Throttle
from entrypoints.console.works_admin.repository import Company, Member, WorksAdminRepository
from entrypoints.http.archive_response import archive_response
from entrypoints.http.client_address import client_address
from entrypoints.http.sign_in_refusals import SignInRefusal
from starter.client import CurrentState
from subscription.account_names import admin_id as checked_id
from subscription.phone import phone_number
from subscription.state import Access, State, Subscription
from subscription.validation import has_control_characters, problem_in

_MAX_ADMINISTRATORS = 4
"""The password is verified for at most this many subscriptions that claim the domain of an account.

The holder of the domain comes first, then the oldest claims. Later claims cannot exclude an earlier one."""


async def get_sign_in(page: PageContext) -> Response:
    if page.session is not None:
        return await page.redirect("/works")
    return await page.render("works_admin/sign_in.html", account="")


async def sign_in(page: PageContext) -> Response:
    """Sign in an administrator. All failures have the same response and, for unknown accounts, the same cost.

    Otherwise a response or its duration would reveal whether an account exists (user enumeration).
    """
    account, password = page.form.get("account", "").strip()[:300], page.form.get("password", "")[:200]
    if page.chooses_language:
        return await page.render("works_admin/sign_in.html", account=account)
    address = client_address(page.request.scope)
    began = asyncio.get_running_loop().time()
    throttle, record = Throttle(page.console.pool), WorksAdminRepository(page.console.pool)
    if not await throttle.count(account, address):
        page.refuse_sign_in(SignInRefusal.TOO_MANY_FAILURES)
        said = page.translator.gettext("Too many attempts. Wait a quarter of an hour and try again.")
        return await _redirect_to_sign_in(page, account, said, 429)
    try:
        subscription_id = await _authenticate(page, record, account, password)
    except HashingBusyError as error:
        await throttle.uncount(account, address)  # the password was not verified
        page.refuse_sign_in(SignInRefusal.TOO_BUSY, error)
        raise
    if subscription_id is None:
        await _until_next_step(page.console.failure_step, began)
        page.refuse_sign_in(SignInRefusal.WRONG_PASSWORD)
        return await _redirect_to_sign_in(
            page, account, page.translator.gettext("The account or the password is wrong."), 403
        )
    await throttle.uncount(account, address)
    current = await page.console.client.current_state(subscription_id)
    if current.state.access is Access.NONE:
        page.refuse_sign_in(SignInRefusal.NO_ACCESS)
        return await _closed(page, current)
    if page.session is not None:
        await page.console.sessions.end(page.token)
    token = await page.console.sessions.begin(SessionKind.WORKS_ADMIN, subscription_id=subscription_id)
    set_session_cookie(page, token)
    return await page.redirect("/works")


async def _authenticate(
    page: PageContext, record: WorksAdminRepository, account: str, password: str
) -> str | None:
    """Return the subscription of the administrator with this account and password, or None.

    Several subscriptions may claim a domain, so an account may have several administrators, whom their
    passwords tell apart. The number of computed hashes depends on the kind of the name alone: the duration
    does not reveal how many subscriptions claim the domain.
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


async def home(page: PageContext) -> Response:
    return await _shown(page, await _open(page))


async def export(page: PageContext) -> Response:
    """Return the archive of the administrator's own subscription (R37)."""
    subscription_id = (await _open(page)).state.subscription_id
    return await archive_response(page.console.exports.archive(subscription_id), subscription_id)


async def set_company(page: PageContext) -> Response:
    """Replace the company information if it is still the one that the page showed."""
    current, form, gettext = await _open(page), page.form, page.translator.gettext
    entered = {
        name: form.get(name, "").strip() for name in ("company_name", "company_phone", "company_address")
    }
    if page.chooses_language:
        return await _shown(page, current, entered=page.form)
    record, subscription_id = WorksAdminRepository(page.console.pool), current.state.subscription_id
    present = await record.company(subscription_id)
    entry = _company(page, entered)
    if entry == present:  # the same form sent twice
        return await page.redirect("/works", gettext("The company information is saved."))
    if present is None or not is_as_shown(page, _company_shown(page, present)):
        return await _shown(page, current, entered=entered, problems={"": _changed(page, present)})
    if not isinstance(entry, Company):
        return await _shown(page, current, entered=entered, problems=entry)
    if not await record.set_company(subscription_id, entry, seen=present):
        changed = _changed(page, await record.company(subscription_id))
        return await _shown(page, current, entered=entered, problems={"": changed})
    return await page.redirect("/works", gettext("The company information is saved."))


def _company(page: PageContext, entered: Mapping[str, str]) -> Company | dict[str, str]:
    """Return the entered company, or the error messages by field."""
    gettext = page.translator.gettext
    problems: dict[str, str] = {}
    if not 1 <= len(entered["company_name"]) <= 100 or has_control_characters(entered["company_name"]):
        problems["company_name"] = gettext("Enter a company name of 1 to 100 characters.")
    if len(entered["company_address"]) > 200 or has_control_characters(entered["company_address"]):
        problems["company_address"] = gettext("Enter an address of 200 characters or fewer.")
    try:
        phone = phone_number(entered["company_phone"][:100])
    except PydanticCustomError as error:
        return {**problems, "company_phone": page.refusal(problem_in(error))}
    return problems or Company(
        company_name=entered["company_name"],
        company_phone=phone,
        company_address=entered["company_address"] or None,
    )


async def add_member(page: PageContext) -> Response:
    current, gettext = await _open(page), page.translator.gettext
    entered = {
        "member_id": page.form.get("member_id", "").strip(),
        "name": page.form.get("name", "").strip(),
    }
    problems: dict[str, str] = {}
    try:
        checked_id(entered["member_id"][:100])
    except PydanticCustomError as error:
        problems["member_id"] = page.refusal(problem_in(error))
    if not 1 <= len(entered["name"]) <= 100 or has_control_characters(entered["name"]):
        problems["name"] = gettext("Enter a name of 1 to 100 characters.")
    state = current.state
    if not problems:
        member = Member(member_id=entered["member_id"], name=entered["name"])
        record = WorksAdminRepository(page.console.pool)
        is_admin = member.member_id == state.admin_id
        if not is_admin and await record.add_member(state.subscription_id, member):
            return await page.redirect("/works", gettext("The member is added."))
        is_present = is_admin or await record.member(state.subscription_id, member.member_id)
        problems["member_id"] = gettext("This ID is already in use.") if is_present else _no_seat(page, state)
    return await _shown(page, current, entered=entered, problems=problems)


def _no_seat(page: PageContext, state: Subscription) -> str:
    """Return the message that all seats are used, with the command that adds seats in this state (R26)."""
    most = page.translator.number(state.members)
    if state.state is State.ACTIVE:
        return page.translator.gettext(
            "All %(most)s seats are used. Upgrade the subscription to add members.", most=most
        )
    return page.translator.gettext(
        "All %(most)s seats of the trial are used. Switch to a paid plan with more members to add members.",
        most=most,
    )


async def remove_member(page: PageContext) -> Response:
    """Remove the member whose ID and name the page showed."""
    current = await _open(page)
    record, subscription_id = WorksAdminRepository(page.console.pool), current.state.subscription_id
    member = await record.member(subscription_id, page.form.get("member_id", ""))
    as_shown = member is not None and is_as_shown(page, _member_shown(page, member))
    if member is not None and as_shown and await record.remove_member(subscription_id, member):
        return await page.redirect("/works", page.translator.gettext("The member is removed."))
    said = page.translator.gettext(
        "The members have changed since you opened the page. No member was removed."
    )
    return await _shown(page, current, problems={"": said})


async def sign_out(page: PageContext) -> Response:
    await page.console.sessions.end(page.token)
    clear_cookie(page, cookie_name(page.realm, secure=page.console.settings.secure))
    return await page.redirect("/works/sign-in")


async def _open(page: PageContext) -> CurrentState:
    """Return the current state of the subscription if its access allows NAVER WORKS Admin."""
    assert page.session is not None
    assert page.session.subscription_id is not None
    current = await page.console.client.current_state(page.session.subscription_id)
    if current.state.access is Access.NONE:
        raise ShortCircuitResponse(await _closed(page, current))
    return current


async def _closed(page: PageContext, current: CurrentState) -> Response:
    why = closed_reason(current.state, page.translator)
    return await page.render("works_admin/no_access.html", why=why, status=403)


async def _shown(
    page: PageContext,
    current: CurrentState,
    *,
    entered: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> Response:
    record, state = WorksAdminRepository(page.console.pool), current.state
    company = await record.company(state.subscription_id)
    return await page.render(
        "works_admin/home.html",
        status=200 if not problems else 409 if "" in problems else 422,
        problems=problems or {},
        entered=entered or {},
        state=state,
        restricted=state.access is Access.RESTRICTED,
        messages=MessageFormatter(page.translator, current.book),
        company=company,
        company_shown=_company_shown(page, company),
        member_shown=partial(_member_shown, page),
        members=await record.members(state.subscription_id, state.members),
        in_use=current.members_in_use or 0,
        locked=current.locked_members,
        last_export_at=current.last_export_at,
        more_seats="upgrade" if state.state is State.ACTIVE else "switch",
    )


def _company_shown(page: PageContext, company: Company | None) -> str:
    return digest(page, "company", company)


def _member_shown(page: PageContext, member: Member) -> str:
    return digest(page, "member", member)


def _changed(page: PageContext, company: Company | None) -> str:
    return page.translator.gettext(
        "The company information has changed since you opened the page, and nothing was saved. "
        "It is now: %(now)s",
        now=", ".join(filter(None, (company.company_name, company.company_phone, company.company_address)))
        if company
        else "",
    )


async def _redirect_to_sign_in(page: PageContext, account: str, said: str, status: int) -> Response:
    return await page.render("works_admin/sign_in.html", account=account, problems={"": said}, status=status)


async def _until_next_step(step: float, began: float) -> None:
    """Wait for the next full step, so that the duration of a failure reveals nothing (timing attack)."""
    taken = asyncio.get_running_loop().time() - began
    await asyncio.sleep(step - taken % step)
