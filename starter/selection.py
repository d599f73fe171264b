"""The selection of subscriptions by operators: named filters, filters by column, a visibility query, or IDs.

`worksub list`, bulk runs, the API and the console parse a selection here.
"""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, ValidationError

from starter.filters import NAMED_FILTERS, Filters, access_is, customer_is, plan_is, state_is, term_is
from subscription.bulk import MOST_SUBSCRIPTIONS
from subscription.business_calendar import KST
from subscription.contract import ContractTerm
from subscription.model import Wire
from subscription.refusals import Problem, Refusal, RefusalCode, RefusalError
from subscription.state import Access, State
from subscription.validation import parse_strict, problems_from

_Text = Annotated[str, Field(min_length=1, max_length=2_000)]
_Id = Annotated[str, Field(min_length=1, max_length=100)]


class Selection(Wire):
    """Filters, combined with AND. `which` is a named filter, `query` a visibility query.

    `ids` lists subscriptions instead, and cannot be combined with a filter.
    """

    ids: Annotated[tuple[_Id, ...], Field(strict=False, max_length=MOST_SUBSCRIPTIONS)] | None = None
    which: _Text | None = None
    query: _Text | None = None
    state: Annotated[State, Field(strict=False)] | None = None
    access: Annotated[Access, Field(strict=False)] | None = None
    plan: _Text | None = None
    term: Annotated[ContractTerm, Field(strict=False)] | None = None
    customer_id: _Text | None = None

    def filters(self) -> Filters:
        """Return the filters without `query` and `ids`. Weeks and months are those of today in Korea."""
        selected = NAMED_FILTERS[self.which].on(datetime.now(KST).date()) if self.which else ()
        selected += state_is(self.state) if self.state else ()
        selected += access_is(self.access) if self.access else ()
        selected += plan_is(self.plan) if self.plan else ()
        selected += term_is(self.term) if self.term else ()
        selected += customer_is(self.customer_id) if self.customer_id else ()
        return selected


def parse_selection(data: Any) -> Selection:
    """Parse the selection of a bulk run, which names at least one filter or ID. Raises `RefusalError`."""
    try:
        selection = parse_strict(Selection, data)
    except ValidationError as error:
        raise RefusalError(Refusal.of_problems(RefusalCode.INVALID_ARGUMENT, problems_from(error))) from None
    if problem := _problem(selection):
        raise RefusalError(Refusal.of_problems(RefusalCode.INVALID_ARGUMENT, [problem]))
    return selection


def _problem(selection: Selection) -> Problem | None:
    given = selection.model_dump(exclude_none=True)
    if not given or selection.ids == ():
        return Problem.of(RefusalCode.MISSING_FIELD, "select", reason="SELECTION")
    if selection.ids is not None and len(given) > 1:
        return Problem.of(RefusalCode.INVALID_VALUE, "ids", reason="IDS_OR_FILTERS")
    if selection.which is not None and selection.which not in NAMED_FILTERS:
        return Problem.of(
            RefusalCode.INVALID_VALUE, "which", reason="EXPECTED", expected=", ".join(NAMED_FILTERS)
        )
    return None
