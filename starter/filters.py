"""Search filters, translated to SQL or to a Temporal visibility query."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from subscription.business_calendar import first_of_month, first_of_next_month, start_of
from subscription.contract import ContractTerm
from subscription.state import Access, State

RUNNING_SUBSCRIPTIONS = "WorkflowType = 'SubscriptionWorkflow' AND CloseTime IS NULL"
"""The present run of every living subscription, in the visibility query language.

A paused workflow is open and has the status "Paused", so the status would leave it out.
"""


@dataclass(frozen=True)
class Filter:
    """How something known of a subscription compares with a value.

    `column` is where the record has it, `attribute` the search attribute; None if it is not there.
    """

    column: str | None
    attribute: str | None
    operator: str
    value: str | bool | int | date | datetime


Filters = tuple[Filter, ...]
"""Conditions that must all hold; none at all selects everything."""


def state_is(state: State) -> Filters:
    return (Filter("state", "SubscriptionState", "=", state.value),)


def access_is(access: Access) -> Filters:
    return (Filter("access", "Access", "=", access.value),)


def plan_is(plan: str) -> Filters:
    return (Filter("plan", "Plan", "=", plan),)


def term_is(term: ContractTerm) -> Filters:
    return (Filter("term", "Term", "=", term.value),)


def customer_is(customer_id: str) -> Filters:
    return (Filter("customer_id", "CustomerId", "=", customer_id),)


def column_is(column: str, value: str | int | None) -> Filters:
    """Select by a column of the record, where a value is given."""
    return (Filter(column, None, "=", value),) if value is not None else ()


def column_between(column: str, first: date | datetime | None, before: date | datetime | None) -> Filters:
    """Select a half-open range of a column of the record; a bound that is not given does not limit it."""
    bounds = ((">=", first), ("<", before))
    return tuple(Filter(column, None, operator, value) for operator, value in bounds if value is not None)


NEEDS_ATTENTION: Filters = (Filter(None, "NeedsAttention", "=", True),)


def trial_ends_in(first_day: date, end_day: date) -> Filters:
    return state_is(State.TRIAL) + _between(
        "trial_ends_at", "TrialEndsAt", start_of(first_day), start_of(end_day)
    )


def reserved_for(first_day: date, end_day: date) -> Filters:
    """The date on which a reserved switch or cancellation happens, which no search attribute tells."""
    return _between("reservation_date", None, first_day, end_day)


def last_contract_day_in(first_day: date, end_day: date) -> Filters:
    """A contract's last day is the one before its half-open end, which is what is kept of it (R18)."""
    day = timedelta(days=1)
    return state_is(State.ACTIVE) + _between("contract_to", "ContractEndsAt", first_day + day, end_day + day)


def _between(
    column: str | None, attribute: str | None, first: date | datetime, end: date | datetime
) -> Filters:
    return (Filter(column, attribute, ">=", first), Filter(column, attribute, "<", end))


@dataclass(frozen=True)
class NamedFilter:
    """A selection that is often wanted, as it is meant on a day."""

    meaning: str
    on: Callable[[date], Filters]


NAMED_FILTERS = {
    "trials-ending": NamedFilter("trials that end this week", lambda day: trial_ends_in(*week_of(day))),
    "reservations-due": NamedFilter(
        "switches and cancellations that are reserved for this week", lambda day: reserved_for(*week_of(day))
    ),
    "contracts-ending": NamedFilter(
        "contracts whose last day is in this month", lambda day: last_contract_day_in(*month_of(day))
    ),
    "suspended": NamedFilter(
        "trials that ended without a switch to paid", lambda _: state_is(State.SUSPENDED)
    ),
    "restricted": NamedFilter(
        "subscriptions whose use is restricted until a domain is proved",
        lambda _: access_is(Access.RESTRICTED),
    ),
    "needs-attention": NamedFilter(
        "what keeps failing, or was found amiss by the nightly comparison", lambda _: NEEDS_ATTENTION
    ),
}


def week_of(day: date) -> tuple[date, date]:
    """Monday, and the Monday after it."""
    monday = day - timedelta(days=day.weekday())
    return monday, monday + timedelta(days=7)


def month_of(day: date) -> tuple[date, date]:
    return first_of_month(day), first_of_next_month(day)


def supported_by_database(selection: Filters) -> bool:
    """Whether the record alone can answer it."""
    return all(condition.column for condition in selection)


def to_sql(selection: Filters) -> tuple[str, list[object]]:
    """A condition on the table `subscriptions`, and its parameters."""
    parts = [f"{each.column} {each.operator} ${n}" for n, each in enumerate(selection, start=1)]
    return " AND ".join(parts) or "true", [each.value for each in selection]


def to_visibility_query(selection: Filters) -> str | None:
    """The same of Temporal, as one may type it in the Web UI; None if it does not know enough."""
    if not all(condition.attribute for condition in selection):
        return None
    parts = [f"{each.attribute} {each.operator} {_literal(each.value)}" for each in selection]
    return " AND ".join([*parts, RUNNING_SUBSCRIPTIONS])


def _literal(value: str | bool | int | date | datetime) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case datetime():
            return f"'{value.isoformat()}'"
        case date():
            return f"'{start_of(value).isoformat()}'"
        case str():
            escaped = value.replace("\\", "\\\\").replace("'", "\\'")
            return f"'{escaped}'"
