"""Search filters, translated to SQL or to a Temporal visibility query."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from adapters.temporal.visibility import quote_visibility_value
from starter.subscription_summary import ACCOUNT_NAME
from subscription.business_calendar import first_of_month, first_of_next_month, start_of
from subscription.contract import ContractTerm
from subscription.deadlines import DeadlineKind
from subscription.state import Access, State

RUNNING_SUBSCRIPTIONS = "WorkflowType = 'SubscriptionWorkflow' AND CloseTime IS NULL"
"""Visibility query for the current run of every active subscription.

The query does not filter by status, because a paused workflow is open with the status "Paused".
"""


@dataclass(frozen=True)
class Filter:
    """Comparison of a property of a subscription with a value.

    `column` is the column of the database, `attribute` the search attribute; None if there is none.
    """

    column: str | None
    attribute: str | None
    operator: str
    value: str | bool | int | date | datetime
    indexed: str | None = None
    """A weaker SQL condition for which there is an index; it has `{0}` in place of the value."""


Filters = tuple[Filter, ...]
"""Filters combined with AND; an empty tuple selects all subscriptions."""


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


def column_is(column: str, value: str | int | None, attribute: str | None = None) -> Filters:
    """Filter by a column of the database; None does not filter."""
    return (Filter(column, attribute, "=", value),) if value is not None else ()


def column_between(
    column: str, first: date | datetime | None, before: date | datetime | None, attribute: str | None = None
) -> Filters:
    """Filter by a half-open range of a column of the database; None means no bound."""
    bounds = ((">=", first), ("<", before))
    return tuple(
        Filter(column, attribute, operator, value) for operator, value in bounds if value is not None
    )


def account_name_is(name: str | None) -> Filters:
    """Filter by the current account name; None does not filter.

    `account_names` also has the names that a rename waits for, so its index finds more than that.
    """
    named = "subscription_id IN (SELECT subscription_id FROM account_names WHERE name = {0})"
    return (Filter(ACCOUNT_NAME, "AccountName", "=", name, indexed=named),) if name is not None else ()


def list_filters(
    *,
    account_name: str | None = None,
    access: Access | None = None,
    plan: str | None = None,
    members: int | None = None,
    term: ContractTerm | None = None,
    reservation: str | None = None,
    next_deadline: DeadlineKind | None = None,
    trial_ends_at_from: datetime | None = None,
    trial_ends_at_before: datetime | None = None,
    contract_to_from: date | None = None,
    contract_to_before: date | None = None,
    reservation_date_from: date | None = None,
    reservation_date_before: date | None = None,
    next_deadline_at_from: datetime | None = None,
    next_deadline_at_before: datetime | None = None,
) -> Filters:
    """Return the filters of a list of subscriptions, of the API and of the console; None does not filter."""
    return (
        account_name_is(account_name)
        + column_is("access", access, "Access")
        + column_is("plan", plan, "Plan")
        + column_is("members", members)
        + column_is("term", term, "Term")
        + column_is("reservation", reservation)
        + column_is("next_deadline", next_deadline)
        + column_between("trial_ends_at", trial_ends_at_from, trial_ends_at_before, "TrialEndsAt")
        + column_between("contract_to", contract_to_from, contract_to_before, "ContractEndsAt")
        + column_between("reservation_date", reservation_date_from, reservation_date_before)
        + column_between("next_deadline_at", next_deadline_at_from, next_deadline_at_before, "NextDeadline")
    )


OVER_SEATS: Filters = (Filter("(added_members >= members)", None, "=", True),)
"""Filter by more members in use, including the administrator, than seats (R36).

The expression is the condition of the index `subscriptions_over_seats`.
"""

NEEDS_ATTENTION: Filters = (Filter(None, "NeedsAttention", "=", True),)


def trial_ends_in(first_day: date, end_day: date) -> Filters:
    return state_is(State.TRIAL) + _between(
        "trial_ends_at", "TrialEndsAt", start_of(first_day), start_of(end_day)
    )


def reserved_for(first_day: date, end_day: date) -> Filters:
    """Filter by the date of a reserved switch or cancellation, which has no search attribute."""
    return _between("reservation_date", None, first_day, end_day)


def last_contract_day_in(first_day: date, end_day: date) -> Filters:
    """Filter by the last day of a contract: the day before the recorded half-open end (R18)."""
    day = timedelta(days=1)
    return state_is(State.ACTIVE) + _between("contract_to", "ContractEndsAt", first_day + day, end_day + day)


def _between(
    column: str | None, attribute: str | None, first: date | datetime, end: date | datetime
) -> Filters:
    return (Filter(column, attribute, ">=", first), Filter(column, attribute, "<", end))


@dataclass(frozen=True)
class NamedFilter:
    """A named filter for a frequent search; `on` returns its filters for a given day."""

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
        "subscriptions whose use is restricted until a domain is verified",
        lambda _: access_is(Access.RESTRICTED),
    ),
    "over-seats": NamedFilter("subscriptions with more members in use than seats", lambda _: OVER_SEATS),
    "needs-attention": NamedFilter(
        "subscriptions with repeated failures or findings of the nightly reconciliation",
        lambda _: NEEDS_ATTENTION,
    ),
}


def week_of(day: date) -> tuple[date, date]:
    """Return the Monday of the week and the next Monday."""
    monday = day - timedelta(days=day.weekday())
    return monday, monday + timedelta(days=7)


def month_of(day: date) -> tuple[date, date]:
    return first_of_month(day), first_of_next_month(day)


def supported_by_database(selection: Filters) -> bool:
    """Return whether the database alone can evaluate the filters."""
    return all(condition.column for condition in selection)


def to_sql(selection: Filters) -> tuple[str, list[object]]:
    """Return an SQL condition on the table `subscriptions`, and its parameters."""
    parts = [_condition(filter, n) for n, filter in enumerate(selection, start=1)]
    return " AND ".join(parts) or "true", [filter.value for filter in selection]


def _condition(filter: Filter, n: int) -> str:
    condition = f"{filter.column} {filter.operator} ${n}"
    return f"{condition} AND {filter.indexed.format(f'${n}')}" if filter.indexed else condition


def to_visibility_query(selection: Filters) -> str | None:
    """Return the equivalent visibility query, also usable in the Web UI; None if an attribute is missing."""
    if not all(condition.attribute for condition in selection):
        return None
    parts = [f"{filter.attribute} {filter.operator} {_literal(filter.value)}" for filter in selection]
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
            return quote_visibility_value(value)
