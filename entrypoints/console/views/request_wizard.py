"""The request wizard (R1-R9): the steps before the subscription exists."""

from collections.abc import Mapping

from starlette.responses import Response

from entrypoints.console import request_draft
from entrypoints.console.confirmation_digest import digest, is_as_shown
from entrypoints.console.draft_cookies import delete_draft, draft_of, keep_draft, new_draft
from entrypoints.console.message_formatter import MessageFormatter
from entrypoints.console.page_context import PageContext
from entrypoints.console.price_estimate import price_estimates
from entrypoints.console.request_draft import Draft
from entrypoints.console.sessions import Flash, FlashTone
from entrypoints.console.views import request_complete
from entrypoints.console.views.duplicate_check import Availability, availability
from subscription.account import AccountKind
from subscription.catalogue import Catalogue
from subscription.password_hash_policy import PLACEHOLDER
from subscription.password_policy import password_problems
from subscription.refusals import Problem, Refusal, RefusalCode, RefusalError, refusal

_STEPS = ("product", "terms", "information", "check")
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "product": ("region", "platform", "plan", "members"),
    "terms": ("agreed_terms",),
    "information": (
        "account",
        "account_group",
        "account_domain",
        "admin_id",
        "company_name",
        "company_phone",
        "contact_email",
    ),
}
"""Fields of a request by wizard step."""
_COMPANY = ("company_name", "company_phone", "contact_email")


async def begin(page: PageContext) -> Response:
    """Start a new request with a new draft."""
    return await page.redirect(_path(new_draft(page), "product"))


async def _restart(page: PageContext) -> Response:
    """Start a new request instead of a draft that no longer exists, and explain this."""
    forgotten = page.translator.gettext(
        "Your entries are no longer stored. They are kept for an hour, until you sign in again, and for "
        "your last %(most)s requests. Please start again.",
        most=page.translator.number(request_draft.MOST_KEPT),
    )
    return await page.redirect(_path(new_draft(page), "product"), forgotten)


async def show(page: PageContext) -> Response:
    """Show a step with the entered values, or redirect to the first unfinished step before it."""
    step, draft = _step(page), draft_of(page)
    if draft is None:
        return await _restart(page)
    if draft.completed:
        return await _completed(page, draft)
    unfinished = await _first_unfinished(page, draft, step)
    if unfinished:
        return await page.redirect(_path(draft, unfinished))
    return await _shown(page, step, draft)


async def take(page: PageContext) -> Response:
    """Process the submitted form of a step."""
    step, draft = _step(page), draft_of(page)
    if page.form.get("do") == "validate" and (draft is None or draft.completed):
        return Response(status_code=204)  # request.js then submits the form, whose response explains this
    if draft is None:
        return await _restart(page)
    if draft.completed:
        return await _completed(page, draft)
    if page.form.get("do") == "cancel":
        return await _cancel(page, draft)
    match step:
        case "product":
            return await _post_product(page, draft)
        case "terms":
            return await _post_terms(page, draft)
        case "information":
            return await _post_information(page, draft)
        case _:
            return await _finalize(page, draft)


async def _cancel(page: PageContext, draft: Draft) -> Response:
    """Delete the draft. Nothing else exists before [Finalize Request] (R9)."""
    delete_draft(page, draft)
    discarded = Flash(page.translator.gettext("The request was discarded."), FlashTone.NEUTRAL)
    return await page.redirect("/subscriptions", discarded)


async def _post_product(page: PageContext, draft: Draft) -> Response:
    draft = draft.entered(page.form, "region", "platform", "plan", "members")
    if page.form.get("do") == "update-price":
        keep_draft(page, draft)
        problems = await _wrong(page, draft, "product")
        return await _shown(page, "product", draft, problems=problems, status=422 if problems else 200)
    return await _on(page, "product", draft)


async def _post_terms(page: PageContext, draft: Draft) -> Response:
    """Store the agreed terms. A term counts as agreed only in the version that was shown (R3)."""
    ticked = set(page.form_lists.get("agreed", ()))
    terms = (await _catalogue(page)).terms
    agreed = tuple((term.id, term.version) for term in terms if f"{term.id}:{term.version}" in ticked)
    return await _on(page, "terms", draft.model_copy(update={"agreed": agreed}))


async def _post_information(page: PageContext, draft: Draft) -> Response:
    form = page.form
    draft = draft.entered(form, "kind", "group", "domain", "admin_id", *_COMPANY)
    kind = draft.kind if draft.kind in tuple(AccountKind) else AccountKind.GROUP.value
    draft = draft.model_copy(update={"kind": kind, "password_hash": ""})
    if form.get("do") == "check-duplicates":
        keep_draft(page, draft)
        return await _shown(page, "information", draft, duplicates=await availability(page, draft))
    if page.chooses_language:
        return await _on(page, "information", draft)
    wrong = password_problems(form.get("password", ""))
    if not wrong and form.get("password") != form.get("password_again"):
        wrong = (Problem.of(RefusalCode.PASSWORDS_DIFFER, "password_again"),)
    if form.get("do") == "validate":
        return await _validated(page, draft, wrong)
    if not wrong:
        password, customer_id = form.get("password", ""), page.caller.customer_id or ""
        password_hash = await page.console.hashing.hash(password, customer_id)
        draft = draft.model_copy(update={"password_hash": password_hash})
    return await _on(page, "information", draft, wrong)


async def _validated(page: PageContext, draft: Draft, wrong: tuple[Problem, ...]) -> Response:
    """Validate the form for request.js, which keeps the passwords in the browser; store nothing.

    The response is the page with its error messages, or empty: the browser then submits the form as usual.
    """
    problems = await _problems(page, draft, "information", wrong)
    if not problems:
        return Response(status_code=204)
    return await _shown(page, "information", draft, problems=problems, status=422)


async def _finalize(page: PageContext, draft: Draft) -> Response:
    """Send the request that the page showed. If the page would now show other facts, show it again."""
    if unfinished := await _first_unfinished(page, draft, "check"):
        return await page.redirect(_path(draft, unfinished))
    if not is_as_shown(page, _check_shown(page, draft, await _catalogue(page))):
        said = page.translator.gettext(
            "The request has changed since you opened the page. Nothing was sent; check it again."
        )
        return await _shown(page, "check", draft, problems={"": said}, status=409)
    try:
        answer = await page.client.request(draft.as_request(_customer(page)))
    except RefusalError as refusal:
        problems = page.problems(refusal.refused)
        problems = {"": " ".join(dict.fromkeys(problems.values()))}
        return await _shown(page, "check", draft, problems=problems, status=422)
    completed = Draft(id=draft.id, completed=answer.subscription_id)
    keep_draft(page, completed)
    return await _completed(page, completed)


def _check_shown(page: PageContext, draft: Draft, catalogue: Catalogue) -> str:
    """Return the digest of the facts that the check page shows."""
    return digest(page, "request", draft, catalogue.plans, catalogue.terms, catalogue.trial)


async def _completed(page: PageContext, draft: Draft) -> Response:
    return await page.redirect(request_complete.PATH.format(subscription_id=draft.completed))


# -- the steps ---------------------------------------------------------------------------------------


def _step(page: PageContext) -> str:
    step: str = page.request.path_params["step"]
    return step if step in _STEPS else _STEPS[0]


def _path(draft: Draft, step: str) -> str:
    return f"/request/{draft.id}/{step}"


async def _on(page: PageContext, step: str, draft: Draft, more: tuple[Problem, ...] = ()) -> Response:
    """Redirect to the next step if this one is valid; else show this step with its error messages.

    If another language is chosen, show this step again with the entered values.
    """
    keep_draft(page, draft)
    if page.chooses_language:
        return await page.redirect(_path(draft, step))
    if problems := await _problems(page, draft, step, more):
        return await _shown(page, step, draft, problems=problems, status=422)
    return await page.redirect(_path(draft, _STEPS[_STEPS.index(step) + 1]))


async def _problems(
    page: PageContext, draft: Draft, step: str, more: tuple[Problem, ...] = ()
) -> dict[str, str]:
    """Return the error messages for the fields of this step, with those of `more`."""
    problems = await _wrong(page, draft, step)
    for problem in more:
        said = page.refusal(problem)
        field = problem.field or ""
        problems[field] = f"{problems[field]} {said}" if field in problems else said
    return problems


async def _first_unfinished(page: PageContext, draft: Draft, before: str) -> str | None:
    for step in _STEPS[: _STEPS.index(before)]:
        unhashed = step == "information" and not draft.password_hash
        if unhashed or await _wrong(page, draft, step):
            return step
    return None


async def _wrong(page: PageContext, draft: Draft, step: str) -> dict[str, str]:
    """Return the error messages for the fields of this step."""
    body = draft.as_request(_customer(page))
    refused = await page.client.check_request({**body, "password_hash": draft.password_hash or PLACEHOLDER})
    if refused is None:
        return {}
    if refused.code is RefusalCode.NOTHING_ON_SALE:
        return {"": page.refusal(refused)}
    problems = tuple(p for p in refused.problems if (p.field or "").replace(".", "_") in _FIELDS[step])
    if not problems:
        return {}
    of_step = Refusal.of_problems(refused.code, problems)
    said = page.problems(of_step, account_group="group", account_domain="domain", account="group")
    if "members" in said and request_draft.whole_number(draft.members) is None:
        said["members"] = page.refusal(request_draft.NOT_A_NUMBER)
    return said


async def _shown(
    page: PageContext,
    step: str,
    draft: Draft,
    *,
    problems: Mapping[str, str] | None = None,
    duplicates: Availability | None = None,
    status: int = 200,
) -> Response:
    book, catalogue = await page.client.price_book(), await _catalogue(page)
    too_many_trials = await page.client.trial_refusal(catalogue) if step == "product" else None
    members = request_draft.whole_number(draft.members) or 0
    return await page.render(
        f"request/{step}.html",
        status=status,
        step=_STEPS.index(step) + 1,
        draft=draft,
        members=members,
        estimates=price_estimates(catalogue, members),
        problems=problems or {},
        duplicates=duplicates,
        catalogue=catalogue,
        too_many_trials=page.refusal(too_many_trials) if too_many_trials else None,
        shown=_check_shown(page, draft, catalogue),
        messages=MessageFormatter(page.translator, book),
    )


async def _catalogue(page: PageContext) -> Catalogue:
    """Return the catalogue in force, with its texts, whose titles of terms the page's messages then use."""
    catalogue = await page.client.catalogue()
    if catalogue is None:
        raise refusal(RefusalCode.NOTHING_ON_SALE)
    page.name_terms(catalogue)
    return catalogue


def _customer(page: PageContext) -> str:
    assert page.session is not None
    assert page.session.customer_id is not None, "only customers request"
    return page.session.customer_id
