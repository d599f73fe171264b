"""[Check for Duplicates]: the availability of a group name or domain name (R5)."""

from pydantic_core import PydanticCustomError
from starlette.responses import Response

from entrypoints.console.page_context import PageContext
from entrypoints.console.request_draft import Draft
from starter.catalogue_queries import NameStatus
from subscription.account import Account, AccountKind
from subscription.account_names import customer_domain, group_name
from subscription.model import Frozen
from subscription.validation import problem_in


class Availability(Frozen):
    """The result of a check, in the language of the page."""

    free: bool
    message: str


async def duplicates(page: PageContext) -> Response:
    """Return the result as an HTML fragment for request.js."""
    draft = Draft().entered(page.form, "kind", "group", "domain")
    return await page.render("request/duplicates.html", duplicates=await availability(page, draft))


async def availability(page: PageContext, draft: Draft) -> Availability:
    gettext, is_domain = page.translator.gettext, draft.kind == AccountKind.DOMAIN
    typed = draft.domain if is_domain else draft.group
    try:
        name = customer_domain(typed) if is_domain else group_name(typed)
    except PydanticCustomError as error:
        return Availability(free=False, message=page.refusal(problem_in(error)))
    kind = AccountKind.DOMAIN if is_domain else AccountKind.GROUP
    match (await page.client.check_name(Account(kind=kind, name=name))).status:
        case NameStatus.AVAILABLE:
            return Availability(free=True, message=gettext("%(name)s is available.", name=name))
        case NameStatus.CLAIMED:
            claimed = gettext(
                "%(name)s is available. Others claim it too, and the first one to verify it has it.",
                name=name,
            )
            return Availability(free=True, message=claimed)
        case NameStatus.TAKEN:
            taken = gettext("%(name)s is already taken. Choose another name.", name=name)
            return Availability(free=False, message=taken)
