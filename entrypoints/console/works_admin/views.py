"""The home page of NAVER WORKS Admin: company information, members and the export."""

from collections.abc import Mapping
from functools import partial

from pydantic_core import PydanticCustomError
from starlette.responses import Response

from entrypoints.console.confirmation_digest import digest, is_as_shown
from entrypoints.console.message_formatter import MessageFormatter
from entrypoints.console.page_context import PageContext
from entrypoints.console.sessions import Flash, FlashTone
from entrypoints.console.works_admin.access import open_subscription
from entrypoints.console.works_admin.repository import Company, Member, WorksAdminRepository
from entrypoints.http.download_response import archive_response
from starter.client import CurrentState
from subscription.account_names import admin_id as checked_id
from subscription.phone import phone_as_written, phone_number
from subscription.state import Access, State, Subscription
from subscription.validation import has_control_characters, problem_in


async def home(page: PageContext) -> Response:
    return await _shown(page, await open_subscription(page))


async def export(page: PageContext) -> Response:
    """Return the archive of the administrator's own subscription (R37)."""
    subscription_id = (await open_subscription(page)).state.subscription_id
    return await archive_response(page.console.exports.archive(subscription_id), subscription_id)


async def set_company(page: PageContext) -> Response:
    """Replace the company information if it is still the one that the page showed."""
    current, form, gettext = await open_subscription(page), page.form, page.translator.gettext
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
    current, gettext = await open_subscription(page), page.translator.gettext
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
        return page.translator.gettext("All %(most)s seats are used. Upgrade to add members.", most=most)
    return page.translator.gettext(
        "All %(most)s seats of the trial are used. Switch to a paid plan with more members to add members.",
        most=most,
    )


async def remove_member(page: PageContext) -> Response:
    """Remove the member whose ID and name the page showed."""
    current = await open_subscription(page)
    record, subscription_id = WorksAdminRepository(page.console.pool), current.state.subscription_id
    member = await record.member(subscription_id, page.form.get("member_id", ""))
    as_shown = member is not None and is_as_shown(page, _member_shown(page, member))
    if member is not None and as_shown and await record.remove_member(subscription_id, member):
        removed = Flash(page.translator.gettext("The member is removed."), FlashTone.NEUTRAL)
        return await page.redirect("/works", removed)
    said = page.translator.gettext(
        "The members have changed since you opened the page. No member was removed."
    )
    return await _shown(page, current, problems={"": said})


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
        company_phone=phone_as_written(company.company_phone) if company else "",
        company_shown=_company_shown(page, company),
        member_shown=partial(_member_shown, page),
        members=await record.members(state.subscription_id, state.members),
        in_use=current.members_in_use or 0,
        locked=current.locked_members,
        last_export_at=current.last_export_at,
        no_seat=_no_seat(page, state),
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
