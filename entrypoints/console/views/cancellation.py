"""Cancellation form (R27, R28, R30): choose a date, review the cost, confirm."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from starlette.responses import Response

from entrypoints.console.available_actions import (
    Action,
    CommandPreview,
    account_words,
    free_day,
    penalty_from_tomorrow,
    preview_command,
    quote_of,
    quotes_by_month,
)
from entrypoints.console.confirmation_digest import digest, is_as_shown, was_carried_out
from entrypoints.console.page_context import PageContext
from entrypoints.console.views.command_forms import (
    changed_meanwhile,
    current_after,
    form_page,
    redirect_with_result,
    run_client,
)
from starter.client import CurrentState
from subscription.business_calendar import day_of
from subscription.commands import Cancel
from subscription.decide import latest_cancellation
from subscription.forecast import Quote
from subscription.refusals import Refusal, RefusalError
from subscription.state import ReservedCancellation


@dataclass(frozen=True)
class _Review:
    """Cancellation that the rules would accept, with its cost and effects."""

    current: CurrentState
    quote: Quote
    foreseen: CommandPreview
    penalty_from_tomorrow: int

    @property
    def is_today(self) -> bool:
        return self.quote.date == day_of(self.current.now)

    def shown(self, page: PageContext) -> str:
        """Return the digest of the facts that the review page shows."""
        state = self.current.state
        return digest(
            page,
            Action.CANCEL,
            state.subscription_id,
            state.account,
            state.reservation,
            day_of(self.current.now),
            self.quote,
            self.foreseen,
            self.penalty_from_tomorrow,
            now=self.current.now,
        )


async def get_cancel(page: PageContext) -> Response:
    """Show the form for the date, or, with `review` in the query, the cost of that date for confirmation."""
    current = await page.client.current_state(page.subscription_id)
    query = page.request.query_params
    if "review" in query:
        return await _review_or_form(page, current, query.get("date", ""))
    return await _form(page, current, query.get("date"))


async def post_cancel(page: PageContext) -> Response:
    """Cancel on the reviewed date. If the review page would now show other facts, show it again."""
    current = await page.client.current_state(page.subscription_id)
    day, confirmation = page.form.get("date", ""), page.form.get("confirmation", "").strip()[:300]
    if page.chooses_language:
        return await _review_or_form(page, current, day, confirmation=confirmation)
    if not await was_carried_out(page):
        review = _reviewed(page, current, day)
        if isinstance(review, str) or not is_as_shown(page, review.shown(page)):
            return await _review_or_form(page, current, day, {"": changed_meanwhile(page)})
    try:
        answer = await run_client(page, "cancel", {"date": day, "confirmation": confirmation}, current)
    except RefusalError as refusal:
        current = await current_after(page, refusal.refused, current)
        return await _review_or_form(page, current, day, page.problems(refusal.refused))
    return await redirect_with_result(page, answer)


def _reviewed(page: PageContext, current: CurrentState, day: str) -> _Review | str:
    """Return the review of this date, or an error message."""
    try:
        chosen = date.fromisoformat(day)
    except ValueError:
        return page.translator.gettext("Enter a date such as 2027-01-31.")
    quote = quote_of(current, chosen)
    command = Cancel(date=chosen, confirmation=account_words(current.state))
    foreseen = quote if isinstance(quote, Refusal) else preview_command(current, command)
    if isinstance(quote, Refusal) or isinstance(foreseen, Refusal):
        return page.refusal(quote if isinstance(quote, Refusal) else foreseen)  # type: ignore[arg-type]
    is_today = chosen == day_of(current.now)
    return _Review(
        current=current,
        quote=quote,
        foreseen=foreseen,
        penalty_from_tomorrow=penalty_from_tomorrow(current) if is_today else 0,
    )


async def _review_or_form(
    page: PageContext,
    current: CurrentState,
    day: str,
    problems: Mapping[str, str] | None = None,
    *,
    confirmation: str = "",
) -> Response:
    review = _reviewed(page, current, day)
    if isinstance(review, str):
        return await _form(page, current, day, {**(problems or {}), "date": review})
    return await form_page(
        page,
        "command/cancel_review.html",
        current,
        Action.CANCEL,
        review=review,
        quote=review.quote,
        confirmation=confirmation,
        shown=review.shown(page),
        problems=problems or {},
        status=_status(problems),
    )


async def _form(
    page: PageContext, current: CurrentState, day: str | None, problems: Mapping[str, str] | None = None
) -> Response:
    today, state = day_of(current.now), current.state
    begins_tomorrow = penalty_from_tomorrow(current)
    free_on = None if begins_tomorrow else free_day(current)
    now = quote_of(current, today)
    return await form_page(
        page,
        "command/cancel.html",
        current,
        Action.CANCEL,
        date=_preselected(current, free_on) if day is None or day == today.isoformat() else day,
        latest=latest_cancellation(state, today) if state.state.accepts_commands else today,
        free_on=free_on,
        penalty_today=0 if isinstance(now, Refusal) else now.penalty,
        penalty_from_tomorrow=begins_tomorrow,
        tomorrow=today + timedelta(days=1),
        quotes=quotes_by_month(current),
        problems=problems or {},
        status=_status(problems),
    )


def _preselected(current: CurrentState, free_on: date | None) -> str:
    """Return the initial date of the form: the reserved date, the first day without a fee, or none.

    Today is never preselected, because it would delete all data immediately.
    """
    reserved = current.state.reservation
    if isinstance(reserved, ReservedCancellation):
        return reserved.date.isoformat()
    return free_on.isoformat() if free_on else ""


def _status(problems: Mapping[str, str] | None) -> int:
    """Return 409 if the shown facts have changed, 422 if a field is invalid, else 200."""
    return 200 if not problems else 409 if "" in problems else 422
