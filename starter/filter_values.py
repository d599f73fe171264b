"""Validation of filter values: an unknown value is refused."""

import re
from collections.abc import Iterator, Sequence

from starter.filters import Filters
from subscription.catalogue import PriceBook
from subscription.contract import ContractTerm
from subscription.refusals import Problem, Refusal, RefusalCode, RefusalError
from subscription.state import Access, State

_PLAN = "plan"
_FIXED: dict[str, Sequence[str]] = {
    "SubscriptionState": tuple(State),
    "Access": tuple(Access),
    "Term": tuple(ContractTerm),
}
"""Search attributes whose values do not depend on the catalogue."""

_COMPARED = re.compile(
    r"""\b(?P<name>SubscriptionState|Access|Plan|Term)`?\s*(?:=|!=|\b(?i:(?:NOT\s+)?IN)\b)\s*"""
    r"""(?P<values>\([^)]*\)|'[^']*'|"[^"]*")"""
)
_LITERAL = re.compile(r"""'([^']*)'|"([^"]*)\"""")


def selects_by_plan(selection: Filters) -> bool:
    return any(condition.column == _PLAN for condition in selection)


def check_selection(selection: Filters, book: PriceBook) -> None:
    """Raise `RefusalError` for a plan that no published catalogue version contains."""
    plans = plans_ever(book)
    selected = [str(condition.value) for condition in selection if condition.column == _PLAN]
    _refuse(
        [
            Problem.of(RefusalCode.INVALID_VALUE, _PLAN, reason="NAMES_NOTHING", found=value, plans=plans)
            for value in selected
            if value not in plans
        ]
    )


def check_query(query: str, book: PriceBook) -> None:
    """Raise `RefusalError` for a value in a visibility query that its search attribute cannot have."""
    known = {**_FIXED, "Plan": plans_ever(book)}
    _refuse(
        [
            Problem.of(
                RefusalCode.INVALID_VALUE,
                "query",
                reason="QUERY_NAMES_NOTHING",
                attribute=name,
                found=value,
                expected=", ".join(known[name]),
            )
            for name, value in _values_compared(query)
            if value not in known[name]
        ]
    )


def plans_ever(book: PriceBook) -> Sequence[str]:
    """Return the plans of all published versions, in the order of their first publication."""
    return tuple(dict.fromkeys(plan for version in book.versions for plan in version.plans_by_rank))


def _values_compared(query: str) -> Iterator[tuple[str, str]]:
    for comparison in _COMPARED.finditer(query):
        for single, double in _LITERAL.findall(comparison["values"]):
            yield comparison["name"], single or double


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise RefusalError(Refusal.of_problems(RefusalCode.INVALID_ARGUMENT, problems))
