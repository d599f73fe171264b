"""The published catalogue versions, and the preview of a new version, for operators (R19, R35)."""

from collections.abc import Mapping
from datetime import date, datetime

from starlette.responses import Response

from entrypoints.console.message_formatter import MessageFormatter
from entrypoints.console.page_context import PageContext
from starter.catalogue_previews import begin_preview, preview_page
from subscription.business_calendar import KST, day_of
from subscription.catalogue import Catalogue, CatalogueError, PriceBook, parse_catalogue
from subscription.catalogue_preview import PreviewSummary
from subscription.refusals import Problem, RefusalCode, RefusalError

_MOST_SUBSCRIPTIONS = 2_000
"""A preview of more would occupy the process of the API for several seconds."""
_PAGE = 20
"""Subscriptions between two interruptions, in which the process serves other requests."""


async def catalogue(page: PageContext) -> Response:
    """Show the versions and the form; with `version`, also the preview of a version that is announced."""
    book = await page.client.price_book()
    version = page.request.query_params.get("version")
    announced = next((v for v in book.versions if v.version == version), None)
    if announced is None:
        return await _shown(page, book)
    return await _previewed(page, book, await page.client.with_texts(announced), None)


async def preview(page: PageContext) -> Response:
    """Show the preview of the catalogue in the form."""
    book, form = await page.client.price_book(), page.form
    if page.chooses_language:
        return await _shown(page, book)
    try:
        newer = parse_catalogue(form.get("catalogue", ""), "")
        as_of = date.fromisoformat(form["as_of"]) if form.get("as_of") else None
    except CatalogueError as error:
        return await _shown(page, book, {"catalogue": _message(page, error)})
    except ValueError:
        wrong = page.refusal(Problem.of(RefusalCode.INVALID_DATE, "as_of"))
        return await _shown(page, book, {"as_of": wrong})
    return await _previewed(page, book, newer, as_of)


def _message(page: PageContext, error: CatalogueError) -> str:
    """Return all problems of the file, each with its line and field."""
    gettext = page.translator.gettext
    return " ".join(
        gettext("Line %(line)s: %(problem)s", line=line, problem=_named(page, problem))
        if line
        else _named(page, problem)
        for line, problem in error.problems
    )


def _named(page: PageContext, problem: Problem) -> str:
    return f"{problem.field}: {page.refusal(problem)}" if problem.field else page.refusal(problem)


async def _previewed(page: PageContext, book: PriceBook, newer: Catalogue, as_of: date | None) -> Response:
    number = await page.client.count_commandable()
    if number > _MOST_SUBSCRIPTIONS:
        too_many = page.translator.gettext(
            "With more than %(most)s subscriptions, use worksub catalogue preview.",
            most=page.translator.number(_MOST_SUBSCRIPTIONS),
        )
        return await _shown(page, book, {"": too_many})
    try:
        begun = await begin_preview(page.client, newer, as_of)
    except RefusalError as refusal:
        refused = refusal.refused
        if not refused.problems:
            return await _shown(page, book, page.problems(refused))
        named = [_named(page, problem) for problem in refused.problems]
        return await _shown(page, book, {"catalogue": " ".join(named)})
    after: str | None = ""
    while after is not None:
        after = (await preview_page(page.client, begun, after, limit=_PAGE)).next_after
    return await _shown(page, book, summary=begun.summary())


async def _shown(
    page: PageContext,
    book: PriceBook,
    problems: Mapping[str, str] | None = None,
    summary: PreviewSummary | None = None,
) -> Response:
    return await page.render(
        "operator_catalogue.html",
        status=422 if problems else 200,
        problems=problems or {},
        versions=book.versions[::-1],
        today=day_of(datetime.now(KST)),
        text=page.form.get("catalogue", ""),
        as_of=page.form.get("as_of", ""),
        summary=summary,
        names=await _names(page, summary) if summary else {},
        notices_by_month=_notices_by_month(summary) if summary else {},
        messages=MessageFormatter(page.translator, book),
    )


async def _names(page: PageContext, summary: PreviewSummary) -> Mapping[str, str | None]:
    """Return the account names of the subscriptions with the largest rises."""
    found = await page.client.listed([rise.subscription_id for rise in summary.largest_rises])
    return {each.subscription_id: each.account_name for each in found}


def _notices_by_month(summary: PreviewSummary) -> Mapping[date, int]:
    months: dict[date, int] = {}
    for notice in summary.notices:
        month = notice.due_on.replace(day=1)
        months[month] = months.get(month, 0) + notice.notices
    return months
