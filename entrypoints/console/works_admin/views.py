"""Pages of NAVER WORKS Admin."""

import asyncio
from collections.abc import Mapping
from functools import partial

from pydantic_core import PydanticCustomError
from starlette.responses import Response

from adapters.password_hashing import HashingBusyError
from entrypoints.console.access_control import clear_cookie, set_session_cookie
from entrypoints.console.confirmation_digest import digest, is_as_shown
from entrypoints.console.event_messages import MessageFormatter
from entrypoints.console.page_context import PageContext, ShortCircuitResponse, cookie_name
from entrypoints.console.sessions import SessionKind
from entrypoints.console.works_admin.login_throttle import Throttle
from entrypoints.console.works_admin.repository import Company, Member, WorksAdminRepository
from entrypoints.http.client_address import client_address
from entrypoints.http.sign_in_refusals import SignInRefusal
from starter.client import CurrentState
from subscription.account_names import admin_id as checked_id
from subscription.phone import phone_number
from subscription.refusals import RefusalError
from subscription.state import Access, State
from subscription.validation import has_control_characters, problem_in

# Longer than the verification of any accepted hash on a machine that is not overloaded.
_FAILURE_STEP_SECONDS = 1.0


async def show_sign_in(visit: PageContext) -> Response:
    if visit.session is not None:
        return await visit.go("/works")
    return await visit.page("works_admin/sign_in.html", account="")


async def sign_in(visit: PageContext) -> Response:
    """Sign in an administrator. All failures have the same response and, for unknown accounts, the same cost.

    Otherwise a response or its duration would reveal whether an account exists (user enumeration).
    """
    account, password = visit.form.get("account", "").strip()[:300], visit.form.get("password", "")[:200]
    if visit.chooses_language:
        return await visit.page("works_admin/sign_in.html", account=account)
    address = client_address(visit.request.scope)
    began = asyncio.get_running_loop().time()
    throttle, record = Throttle(visit.console.pool), WorksAdminRepository(visit.console.pool)
    if not await throttle.count(account, address):
        visit.refuse_sign_in(SignInRefusal.TOO_MANY_FAILURES)
        said = visit.words.say("Too many attempts. Wait a quarter of an hour and try again.")
        return await _sign_in_again(visit, account, said, 429)
    admin_id, _, name = account.partition("@")
    administrator = await record.administrator(admin_id, name)
    if administrator is not None and not await _is_current_account(
        visit, administrator.subscription_id, account
    ):
        administrator = None
    stored = administrator.password_hash if administrator else None
    try:
        right = await visit.console.hashing.verify(stored, password)
    except HashingBusyError as error:
        await throttle.uncount(account, address)  # the password was not verified
        visit.refuse_sign_in(SignInRefusal.TOO_BUSY, error)
        raise
    if administrator is None or not right:
        await _until_next_step(began)
        visit.refuse_sign_in(SignInRefusal.WRONG_PASSWORD)
        return await _sign_in_again(
            visit, account, visit.words.say("The account or the password is wrong."), 403
        )
    await throttle.uncount(account, address)
    standing = await visit.console.client.standing(administrator.subscription_id)
    if standing.state.access is Access.NONE:
        visit.refuse_sign_in(SignInRefusal.NO_ACCESS)
        return await _closed(visit, standing)
    if visit.session is not None:
        await visit.console.sessions.end(visit.token)
    token = await visit.console.sessions.begin(
        SessionKind.WORKS_ADMIN, subscription_id=administrator.subscription_id
    )
    set_session_cookie(visit, token)
    return await visit.go("/works")


async def home(visit: PageContext) -> Response:
    return await _shown(visit, await _open(visit))


async def set_company(visit: PageContext) -> Response:
    """Replace the company information if it is still the one that the page showed."""
    standing, form, say = await _open(visit), visit.form, visit.words.say
    entered = {
        name: form.get(name, "").strip() for name in ("company_name", "company_phone", "company_address")
    }
    if visit.chooses_language:
        return await _shown(visit, standing, entered=visit.form)
    record, subscription_id = WorksAdminRepository(visit.console.pool), standing.state.subscription_id
    present = await record.company(subscription_id)
    entry = _company(visit, entered)
    if entry == present:  # the same form sent twice
        return await visit.go("/works", say("The company information is saved."))
    if present is None or not is_as_shown(visit, _company_shown(visit, present)):
        return await _shown(visit, standing, entered=entered, problems={"": _changed(visit, present)})
    if not isinstance(entry, Company):
        return await _shown(visit, standing, entered=entered, problems=entry)
    if not await record.set_company(subscription_id, entry, seen=present):
        changed = _changed(visit, await record.company(subscription_id))
        return await _shown(visit, standing, entered=entered, problems={"": changed})
    return await visit.go("/works", say("The company information is saved."))


def _company(visit: PageContext, entered: Mapping[str, str]) -> Company | dict[str, str]:
    """Return the entered company, or the error messages by field."""
    say = visit.words.say
    problems: dict[str, str] = {}
    if not 1 <= len(entered["company_name"]) <= 100 or has_control_characters(entered["company_name"]):
        problems["company_name"] = say("A company name has 1 to 100 characters.")
    if len(entered["company_address"]) > 200 or has_control_characters(entered["company_address"]):
        problems["company_address"] = say("An address has at most 200 characters.")
    try:
        phone = phone_number(entered["company_phone"][:100])
    except PydanticCustomError as error:
        return {**problems, "company_phone": visit.refusal(problem_in(error))}
    return problems or Company(
        company_name=entered["company_name"],
        company_phone=phone,
        company_address=entered["company_address"] or None,
    )


async def add_member(visit: PageContext) -> Response:
    standing, say = await _open(visit), visit.words.say
    entered = {
        "member_id": visit.form.get("member_id", "").strip(),
        "name": visit.form.get("name", "").strip(),
    }
    problems: dict[str, str] = {}
    try:
        checked_id(entered["member_id"][:100])
    except PydanticCustomError as error:
        problems["member_id"] = visit.refusal(problem_in(error))
    if not 1 <= len(entered["name"]) <= 100 or has_control_characters(entered["name"]):
        problems["name"] = say("A name has 1 to 100 characters.")
    state = standing.state
    if not problems:
        member = Member(member_id=entered["member_id"], name=entered["name"])
        record = WorksAdminRepository(visit.console.pool)
        if entered["member_id"] != state.admin_id and await record.add_member(state.subscription_id, member):
            return await visit.go("/works", say("The member is added."))
        present = {state.admin_id, *(each.member_id for each in await record.members(state.subscription_id))}
        problems["member_id"] = (
            say("This ID is already in use.")
            if entered["member_id"] in present
            else say(
                "All %(most)s seats are used. Upgrade the subscription to add members.",
                most=visit.words.number(state.members),
            )
        )
    return await _shown(visit, standing, entered=entered, problems=problems)


async def remove_member(visit: PageContext) -> Response:
    """Remove the member whose ID and name the page showed."""
    standing = await _open(visit)
    record, subscription_id = WorksAdminRepository(visit.console.pool), standing.state.subscription_id
    for member in await record.members(subscription_id):
        named = member.member_id == visit.form.get("member_id")
        as_shown = named and is_as_shown(visit, _member_shown(visit, member))
        if as_shown and await record.remove_member(subscription_id, member):
            return await visit.go("/works", visit.words.say("The member is removed."))
    said = visit.words.say("The members have changed since you opened the page. No member was removed.")
    return await _shown(visit, standing, problems={"": said})


async def sign_out(visit: PageContext) -> Response:
    await visit.console.sessions.end(visit.token)
    clear_cookie(visit, cookie_name(visit.realm, secure=visit.console.settings.secure))
    return await visit.go("/works/sign-in")


async def _open(visit: PageContext) -> CurrentState:
    """Return the current state of the subscription if its access allows NAVER WORKS Admin."""
    assert visit.session is not None
    assert visit.session.subscription_id is not None
    standing = await visit.console.client.standing(visit.session.subscription_id)
    if standing.state.access is Access.NONE:
        raise ShortCircuitResponse(await _closed(visit, standing))
    return standing


async def _closed(visit: PageContext, standing: CurrentState) -> Response:
    say = visit.words.say
    why = {
        State.SUSPENDED: say(
            "The trial has ended and use is suspended. It opens again with the switch to a paid plan."
        ),
        State.CANCELED: say("The subscription has been canceled."),
        State.ERASED: say("The subscription has been canceled and all data deleted."),
    }.get(standing.state.state, say("The subscription has not started yet."))
    return await visit.page("works_admin/no_access.html", why=why, status=403)


async def _shown(
    visit: PageContext,
    standing: CurrentState,
    *,
    entered: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> Response:
    record, state = WorksAdminRepository(visit.console.pool), standing.state
    company = await record.company(state.subscription_id)
    return await visit.page(
        "works_admin/home.html",
        status=200 if not problems else 409 if "" in problems else 422,
        problems=problems or {},
        entered=entered or {},
        state=state,
        restricted=state.access is Access.RESTRICTED,
        speak=MessageFormatter(visit.words, standing.book),
        company=company,
        company_shown=_company_shown(visit, company),
        member_shown=partial(_member_shown, visit),
        members=await record.members(state.subscription_id),
    )


def _company_shown(visit: PageContext, company: Company | None) -> str:
    return digest(visit, "company", company)


def _member_shown(visit: PageContext, member: Member) -> str:
    return digest(visit, "member", member)


def _changed(visit: PageContext, company: Company | None) -> str:
    return visit.words.say(
        "The company information has changed since you opened the page, and nothing was saved. "
        "It is now: %(now)s",
        now=", ".join(filter(None, (company.company_name, company.company_phone, company.company_address)))
        if company
        else "",
    )


async def _is_current_account(visit: PageContext, subscription_id: str, account: str) -> bool:
    """Return True if this is the current account name, and not a name that is only reserved (R10)."""
    try:
        return (await visit.console.client.status(subscription_id)).account == account
    except RefusalError:
        return False


async def _sign_in_again(visit: PageContext, account: str, said: str, status: int) -> Response:
    return await visit.page("works_admin/sign_in.html", account=account, problems={"": said}, status=status)


async def _until_next_step(began: float) -> None:
    """Wait for the next full step, so that the duration of a failure reveals nothing (timing attack)."""
    taken = asyncio.get_running_loop().time() - began
    await asyncio.sleep(_FAILURE_STEP_SECONDS - taken % _FAILURE_STEP_SECONDS)
