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
)
from entrypoints.console.confirmation_digest import digest, is_as_shown, was_carried_out
from entrypoints.console.page_context import PageContext
from entrypoints.console.views.command_forms import (
    changed_meanwhile,
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

    standing: CurrentState
    quote: Quote
    foreseen: CommandPreview
    penalty_from_tomorrow: int

    @property
    def is_today(self) -> bool:
        return self.quote.date == day_of(self.standing.now)

    def shown(self, visit: PageContext) -> str:
        """Return the digest of the facts that the review page shows."""
        state = self.standing.state
        return digest(
            visit,
            Action.CANCEL,
            state.subscription_id,
            state.account,
            state.reservation,
            day_of(self.standing.now),
            self.quote,
            self.foreseen,
            self.penalty_from_tomorrow,
            now=self.standing.now,
        )


async def show_cancel(visit: PageContext) -> Response:
    """Show the form for the date, or, with `review` in the query, the cost of that date for confirmation."""
    standing = await visit.desk.standing(visit.subscription_id)
    query = visit.request.query_params
    if "review" in query:
        return await _review_or_form(visit, standing, query.get("date", ""))
    return await _form(visit, standing, query.get("date"))


async def take_cancel(visit: PageContext) -> Response:
    """Cancel on the reviewed date. If the review page would now show other facts, show it again."""
    standing = await visit.desk.standing(visit.subscription_id)
    day, confirmation = visit.form.get("date", ""), visit.form.get("confirmation", "").strip()[:300]
    if visit.chooses_language:
        return await _review_or_form(visit, standing, day, confirmation=confirmation)
    if not await was_carried_out(visit):
        review = _reviewed(visit, standing, day)
        if isinstance(review, str) or not is_as_shown(visit, review.shown(visit)):
            return await _review_or_form(visit, standing, day, {"": changed_meanwhile(visit)})
    try:
        answer = await run_client(visit, "cancel", {"date": day, "confirmation": confirmation}, standing)
    except RefusalError as refusal:
        standing = await visit.desk.standing(visit.subscription_id)
        return await _review_or_form(visit, standing, day, visit.problems(refusal.refused))
    return await redirect_with_result(visit, answer)


def _reviewed(visit: PageContext, standing: CurrentState, day: str) -> _Review | str:
    """Return the review of this date, or an error message."""
    try:
        chosen = date.fromisoformat(day)
    except ValueError:
        return visit.words.say("Enter a date such as 2027-01-31.")
    quote = quote_of(standing, chosen)
    command = Cancel(date=chosen, confirmation=account_words(standing.state))
    foreseen = quote if isinstance(quote, Refusal) else preview_command(standing, command)
    if isinstance(quote, Refusal) or isinstance(foreseen, Refusal):
        return visit.refusal(quote if isinstance(quote, Refusal) else foreseen)  # type: ignore[arg-type]
    is_today = chosen == day_of(standing.now)
    return _Review(
        standing=standing,
        quote=quote,
        foreseen=foreseen,
        penalty_from_tomorrow=penalty_from_tomorrow(standing) if is_today else 0,
    )


async def _review_or_form(
    visit: PageContext,
    standing: CurrentState,
    day: str,
    problems: Mapping[str, str] | None = None,
    *,
    confirmation: str = "",
) -> Response:
    review = _reviewed(visit, standing, day)
    if isinstance(review, str):
        return await _form(visit, standing, day, {**(problems or {}), "date": review})
    return await form_page(
        visit,
        "command/cancel_review.html",
        standing,
        Action.CANCEL,
        review=review,
        quote=review.quote,
        confirmation=confirmation,
        shown=review.shown(visit),
        problems=problems or {},
        status=_status(problems),
    )


async def _form(
    visit: PageContext, standing: CurrentState, day: str | None, problems: Mapping[str, str] | None = None
) -> Response:
    today, state = day_of(standing.now), standing.state
    begins_tomorrow = penalty_from_tomorrow(standing)
    free_on = None if begins_tomorrow else free_day(standing)
    now = quote_of(standing, today)
    return await form_page(
        visit,
        "command/cancel.html",
        standing,
        Action.CANCEL,
        date=_preselected(standing, free_on) if day is None or day == today.isoformat() else day,
        latest=latest_cancellation(state, today) if state.state.accepts_commands else today,
        free_on=free_on,
        penalty_today=0 if isinstance(now, Refusal) else now.penalty,
        penalty_from_tomorrow=begins_tomorrow,
        tomorrow=today + timedelta(days=1),
        problems=problems or {},
        status=_status(problems),
    )


def _preselected(standing: CurrentState, free_on: date | None) -> str:
    """Return the initial date of the form: the reserved date, the first day without a fee, or none.

    Today is never preselected, because it would delete all data immediately.
    """
    reserved = standing.state.reservation
    if isinstance(reserved, ReservedCancellation):
        return reserved.date.isoformat()
    return free_on.isoformat() if free_on else ""


def _status(problems: Mapping[str, str] | None) -> int:
    """Return 409 if the shown facts have changed, 422 if a field is invalid, else 200."""
    return 200 if not problems else 409 if "" in problems else 422
