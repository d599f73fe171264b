"""The operators' list of the subscriptions of all customers, with the filters of the API."""

import contextlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError
from starlette.responses import Response

from entrypoints.console.message_formatter import MessageFormatter
from entrypoints.console.page_context import PageContext
from starter.filter_values import plans_ever
from starter.filters import (
    NAMED_FILTERS,
    Filters,
    customer_is,
    list_filters,
    state_is,
    supported_by_database,
    to_visibility_query,
)
from starter.search import SearchPage
from subscription.account_names import account_name
from subscription.business_calendar import KST, Day, Instant, day_of, start_of
from subscription.contract import ContractTerm
from subscription.deadlines import DeadlineKind
from subscription.model import Frozen
from subscription.refusals import RefusalError
from subscription.state import Access, State
from subscription.validation import problems_from

_A_PAGE = 50
_CHOICES = frozenset({"state", "access", "term", "reservation", "next_deadline"})
_SHOWN_STATES = (State.TRIAL, State.SUSPENDED, State.ACTIVE, State.CANCELED, State.ERASED)


def _start_of_day(value: object) -> object:
    """Return the start of a day in Korea, as a date field sends it; another value is read as an instant."""
    try:
        return start_of(date.fromisoformat(value)) if isinstance(value, str) else value
    except ValueError:
        return value


def _stored_name(text: str) -> str:
    """Return a name as it is stored. Text that is no name finds nothing, which is no error of a search."""
    with contextlib.suppress(PydanticCustomError):
        return account_name(text)
    return text


_Moment = Annotated[Instant, BeforeValidator(_start_of_day)]


class ListFilter(Frozen):
    """Filters of the list: query parameters with the names that they have in the API.

    A range is half-open: from `…_from`, inclusive, to `…_before`, exclusive.
    """

    account_name: Annotated[str, Field(max_length=300), AfterValidator(_stored_name)] | None = None
    access: Access | None = None
    plan: str | None = None
    members: Annotated[int | None, Field(ge=1, le=10_000_000)] = None
    term: ContractTerm | None = None
    reservation: Literal["SWITCH_TO_PAID", "CANCELLATION"] | None = None
    next_deadline: DeadlineKind | None = None
    trial_ends_at_from: _Moment | None = None
    trial_ends_at_before: _Moment | None = None
    contract_to_from: Day | None = None
    contract_to_before: Day | None = None
    reservation_date_from: Day | None = None
    reservation_date_before: Day | None = None
    next_deadline_at_from: _Moment | None = None
    next_deadline_at_before: _Moment | None = None


class Search(ListFilter):
    """All query parameters of the list except the cursor. `which` is a named filter."""

    which: str | None = None
    state: State | None = None
    customer_id: Annotated[str | None, Field(max_length=200)] = None

    def selection(self, today: date) -> Filters:
        values = self.model_dump()
        which, state, customer_id = (values.pop(name) for name in ("which", "state", "customer_id"))
        return (
            (NAMED_FILTERS[which].on(today) if which else ())
            + (state_is(state) if state else ())
            + (customer_is(customer_id) if customer_id else ())
            + list_filters(**values)
        )


async def all_subscriptions(page: PageContext) -> Response:
    """List the subscriptions of all customers that match the query parameters."""
    today = day_of(datetime.now(KST))
    entered = {
        name: value.strip()
        for name, value in page.request.query_params.items()
        if name in Search.model_fields and value.strip()
    }
    book = await page.client.price_book()
    found, problems = await _search(page, entered, today)
    attention = await page.client.find(NAMED_FILTERS["needs-attention"].on(today), limit=_A_PAGE)
    messages = MessageFormatter(page.translator, book)
    return await page.render(
        "operator.html",
        status=422 if problems else 200,
        problems=problems,
        found=found,
        messages=messages,
        entered={name: entered.get(name, "") for name in Search.model_fields},
        filtered=bool(entered),
        more_filters=bool(entered.keys() - {"which", "state", "plan", "account_name", "customer_id"}),
        named=named_filters(page),
        options=options_of(page, messages, plans_ever(book)),
        next_page=_address({**entered, "after": found.next_cursor}) if found.next_cursor else None,
        first_page=_address(entered) if page.request.query_params.get("after") else None,
        needing_attention={
            *(each.subscription_id for each in attention.subscriptions),
            *attention.missing_in_database,
        },
        attention_reasons=attention.attention,
        attention_total=attention.total,
        temporal_ui=page.console.settings.temporal_ui_url,
    )


async def _search(
    page: PageContext, entered: Mapping[str, str], today: date
) -> tuple[SearchPage, dict[str, str]]:
    """Return the page of the list, or the problem of each parameter that is no filter."""
    none = SearchPage(subscriptions=(), total=0, next_cursor=None, query=None)
    try:
        search = Search.model_validate(entered)
    except ValidationError as error:
        wrong = {problem.field or "": page.refusal(problem) for problem in problems_from(error)}
        choices = {name: _no_such_filter(page, entered[name]) for name in wrong.keys() & _CHOICES}
        return none, {**wrong, **choices}
    if search.which and search.which not in NAMED_FILTERS:
        return none, {"": _no_such_filter(page, search.which)}
    selection = search.selection(today)
    if not supported_by_database(selection) and to_visibility_query(selection) is None:
        said = page.translator.gettext(
            "This list cannot be filtered by members, by reservation or by the kind of the next event."
        )
        return none, {"": said}
    try:
        after = page.request.query_params.get("after", "")
        return await page.client.find(selection, after=after, limit=_A_PAGE), {}
    except RefusalError as refusal:
        return none, page.problems(refusal.refused)


def _no_such_filter(page: PageContext, value: str) -> str:
    return page.translator.gettext("There is no filter %(value)s. Choose one from the list.", value=value)


def options_of(
    page: PageContext, messages: MessageFormatter, plans: Sequence[str]
) -> Mapping[str, Sequence[tuple[str, str]]]:
    """Return the values and labels of each select field."""
    gettext = page.translator.gettext
    found = {
        "state": [(state.value, messages.state(state)) for state in _SHOWN_STATES],
        "plan": [(plan, messages.plan(plan)) for plan in plans],
        "access": [(access.value, messages.access(access)) for access in Access],
        "term": [(term.value, messages.term(term)) for term in ContractTerm],
        "reservation": [
            ("SWITCH_TO_PAID", gettext("Switch to paid")),
            ("CANCELLATION", gettext("Cancellation")),
        ],
        "next_deadline": [(kind.value, messages.deadline_kind(kind)) for kind in DeadlineKind],
    }
    return {name: [("", gettext("All")), *options] for name, options in found.items()}


def named_filters(page: PageContext) -> dict[str, tuple[str, str]]:
    """Return the short and the long label of each named filter."""
    gettext = page.translator.gettext
    return {
        "needs-attention": (
            gettext("Needs attention"),
            gettext("Repeated failures, or findings of the nightly comparison"),
        ),
        "trials-ending": (gettext("Trials ending"), gettext("Trials that end this week")),
        "reservations-due": (
            gettext("Reservations due"),
            gettext("Switches and cancellations that are reserved for this week"),
        ),
        "contracts-ending": (
            gettext("Contracts ending"),
            gettext("Contracts whose last day is in this month"),
        ),
        "suspended": (gettext("Suspended"), gettext("Trials that ended without a switch to paid")),
        "restricted": (
            gettext("Restricted"),
            gettext("Use is restricted until domain ownership is verified."),
        ),
        "over-seats": (gettext("Over seats"), gettext("More members in use than seats")),
    }


def _address(parameters: Mapping[str, Any]) -> str:
    return f"/operator?{urlencode(parameters)}"
