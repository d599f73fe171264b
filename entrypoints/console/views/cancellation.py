"""Cancellation form (R27, R28, R30): choose a date, review the cost, confirm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

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
from entrypoints.console.fee_curve import fee_curve
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
from subscription.explain import ChargedPrice, Explanation, charged_prices, explain
from subscription.forecast import Quote
from subscription.ledger import LedgerLine, LineKind
from subscription.refusals import Refusal, RefusalError
from subscription.state import ReservedCancellation
from subscription.vat_estimate import vat_on_lines


class When(StrEnum):
    """The choices of the form: the first day without a fee, another date, and today."""

    END = "END"
    DATE = "DATE"
    NOW = "NOW"


@dataclass(frozen=True)
class _Review:
    """Cancellation that the rules would accept, with its cost and effects. `vat` is that of all charges."""

    current: CurrentState
    quote: Quote
    vat: int
    foreseen: CommandPreview
    penalty_from_tomorrow: int

    @property
    def is_today(self) -> bool:
        return self.quote.date == day_of(self.current.now)

    @property
    def fee_lines(self) -> tuple[LedgerLine, ...]:
        """Return the charges of the early termination (R30)."""
        return tuple(line for line in self.quote.ledger if line.kind is not LineKind.SERVICE_FEE)

    @property
    def service_lines(self) -> tuple[LedgerLine, ...]:
        return tuple(line for line in self.quote.ledger if line.kind is LineKind.SERVICE_FEE)

    @property
    def fee_parts(self) -> Sequence[tuple[LedgerLine, Explanation, Sequence[ChargedPrice]]]:
        """Return each part of the fee, its calculation and the origin of its prices."""
        return [(line, explain(line), charged_prices(line)) for line in self.fee_lines]

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
            self.vat,
            self.foreseen,
            self.penalty_from_tomorrow,
            now=self.current.now,
        )


async def get_cancel(page: PageContext) -> Response:
    """Show the form for the date, or, with `review` in the query, the cost of that date for confirmation."""
    current = await page.client.current_state(page.subscription_id)
    query = page.request.query_params
    day = _entered_day(current, query.get("when"), query.get("date"))
    if "review" in query:
        return await _review_or_form(page, current, day or "")
    return await _form(page, current, day)


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
        vat=vat_on_lines(quote.ledger, current.book),
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
    free_on, quotes = free_day(current), quotes_by_month(current)
    when, entered = _preselected(current, day)
    chosen = _quote_of_entered(current, entered)
    return await form_page(
        page,
        "command/cancel.html",
        current,
        Action.CANCEL,
        when=when,
        date=entered,
        latest=latest_cancellation(state, today) if state.state.accepts_commands else today,
        free_on=free_on,
        chosen=chosen,
        has_fee=any(quote.penalty for quote in quotes),
        fee_today=_fee(quote_of(current, today)),
        penalty_from_tomorrow=penalty_from_tomorrow(current),
        quotes=quotes,
        curve=fee_curve(quotes, chosen),
        problems=problems or {},
        status=_status(problems),
    )


def _entered_day(current: CurrentState, when: str | None, day: str | None) -> str | None:
    """Return the chosen date. A link that has only a date chooses it."""
    match when:
        case When.END:
            free_on = free_day(current)
            return free_on.isoformat() if free_on else ""
        case When.NOW:
            return day_of(current.now).isoformat()
        case _:
            return day


def _preselected(current: CurrentState, day: str | None) -> tuple[When, str]:
    """Return the initial choice and date: as entered, else the reserved date or the first day without a fee.

    Today is never preselected, because it would delete all data immediately. On a day that has no fee itself
    nothing is preselected either: the next free day is a year away.
    """
    today, free_on, reserved = day_of(current.now), free_day(current), current.state.reservation
    if day is None or day == today.isoformat():
        day = ""
        if isinstance(reserved, ReservedCancellation):
            day = reserved.date.isoformat()
        elif free_on and not penalty_from_tomorrow(current):
            day = free_on.isoformat()
    if free_on and day == free_on.isoformat():
        return When.END, ""
    return When.DATE, day


def _quote_of_entered(current: CurrentState, day: str) -> Quote | None:
    try:
        quote = quote_of(current, date.fromisoformat(day))
    except ValueError:
        return None
    return None if isinstance(quote, Refusal) else quote


def _fee(quote: Quote | Refusal) -> int:
    return 0 if isinstance(quote, Refusal) else quote.penalty


def _status(problems: Mapping[str, str] | None) -> int:
    """Return 409 if the shown facts have changed, 422 if a field is invalid, else 200."""
    return 200 if not problems else 409 if "" in problems else 422
