"""The page *What if*: the cost by month of two alternatives that are only tried, never sent (R28)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from entrypoints.console.available_actions import Action, account_words, current_terms, plans_to_choose
from entrypoints.console.cost_bars import cost_bars
from entrypoints.console.page_context import PageContext
from entrypoints.console.request_draft import NOT_A_NUMBER, whole_number
from entrypoints.console.views.subscription_pages import render_subscription
from starter.client import CurrentState
from subscription.business_calendar import day_of
from subscription.commands import (
    Cancel,
    ChangeRenewalOption,
    SwitchToPaid,
    Upgrade,
    parse_command,
    parse_quote,
)
from subscription.decide import ExternalFacts
from subscription.refusals import Refusal, RefusalCode
from subscription.state import State
from subscription.what_if import MonthCost, cost_by_month

_COMMANDS = {
    Action.SWITCH: SwitchToPaid.name,
    Action.RENEWAL: ChangeRenewalOption.name,
    Action.UPGRADE: Upgrade.name,
    Action.CANCEL: Cancel.name,
}
_FIELDS = ("change", "date", "term", "plan", "members")
_ALTERNATIVES = ("a", "b")


@dataclass(frozen=True)
class Alternative:
    """The entered values of an alternative, with its costs, or the problems by form field.

    The fields of the form have the prefix `name` and an underscore. `costs` is empty if nothing is chosen or
    something is wrong. `form` is the address of the form for the change, with the entered values; None for an
    upgrade on a later date, because an upgrade takes effect at once (R25).
    """

    name: str
    entered: Mapping[str, str]
    costs: tuple[MonthCost, ...] = ()
    form: str | None = None
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Series:
    """The costs of the whole year: number 0 is without a change, the others are alternatives."""

    number: int
    name: str
    costs: tuple[MonthCost, ...]
    form: str | None = None

    @property
    def total(self) -> int:
        return sum(month.total for month in self.costs)

    @property
    def vat(self) -> int:
        return sum(month.vat for month in self.costs)


async def what_if(page: PageContext) -> Response:
    """Show the costs without a change, and of the alternatives in the query, which a link can carry."""
    current = await page.client.current_state(page.subscription_id)
    if not current.state.state.accepts_commands:
        return await render_subscription(
            page,
            "command/not_available.html",
            current,
            status=409,
            refused=page.refusal(Refusal.of(RefusalCode.SUBSCRIPTION_ENDED)),
        )
    unchanged = cost_by_month(current.state, None, day_of(current.now), current.now, current.book)
    alternatives = [_alternative(page, current, name) for name in _ALTERNATIVES]
    problems = {key: text for alternative in alternatives for key, text in alternative.problems.items()}
    series = [Series(0, "", () if isinstance(unchanged, Refusal) else unchanged)]
    series += [
        Series(number, each.name, each.costs, each.form)
        for number, each in enumerate(alternatives, start=1)
        if each.costs
    ]
    return await render_subscription(
        page,
        "what_if.html",
        current,
        status=422 if problems else 200,
        problems=problems,
        alternatives=alternatives,
        changes=_possible_changes(current),
        plan_titles=[(plan, offer.title) for plan, offer in plans_to_choose(current).items()],
        series=series,
        chart=cost_bars({each.number: each.costs for each in series}),
    )


def _possible_changes(current: CurrentState) -> Sequence[Action]:
    if current.state.state is State.ACTIVE:
        return (Action.UPGRADE, Action.RENEWAL, Action.CANCEL)
    return (Action.SWITCH, Action.CANCEL)


def _alternative(page: PageContext, current: CurrentState, name: str) -> Alternative:
    query = page.request.query_params
    entered = {field: query.get(f"{name}_{field}", "").strip()[:100] for field in _FIELDS}
    found = _tried(page, current, entered)
    if isinstance(found, tuple):
        return Alternative(name, entered, found, _form_of(current, entered) if found else None)
    # A problem of a field that this form does not have concerns the whole alternative.
    problems = {f"{name}_{field if field in _FIELDS else 'change'}": text for field, text in found.items()}
    return Alternative(name, entered, problems=problems)


def _form_of(current: CurrentState, entered: Mapping[str, str]) -> str | None:
    """Return the address of the form that would really make the change, with the entered values."""
    change, today = entered["change"], f"{day_of(current.now)}"
    if change == Action.UPGRADE and entered["date"] not in ("", today):
        return None
    state, values = current.state, {name: entered[name] for name in _FIELDS[1:] if entered[name]}
    match change:
        case Action.CANCEL:
            values = {"date": values.get("date", today), "review": "1"}
        case Action.SWITCH:
            kept = {"date": today, "term": "ANNUAL", "plan": state.plan, "members": f"{state.members}"}
            values = {**kept, **values}
        case Action.RENEWAL:
            values = {"term": "NONE", **values}
    return f"/subscriptions/{state.subscription_id}/{change}?{urlencode(values)}"


def _tried(
    page: PageContext, current: CurrentState, entered: Mapping[str, str]
) -> tuple[MonthCost, ...] | Mapping[str, str]:
    """Return the costs of the entered change, or the problems by field."""
    if entered["change"] not in _COMMANDS:
        return ()
    change, members = Action(entered["change"]), whole_number(entered["members"])
    if entered["members"] and members is None:
        return {"members": page.refusal(NOT_A_NUMBER)}
    day = day_of(current.now)
    if change is Action.UPGRADE and entered["date"]:
        quoted = parse_quote({"date": entered["date"]})
        if isinstance(quoted, Refusal):
            return page.problems(quoted)
        day = quoted.date
    command = parse_command(_COMMANDS[change], _argument(current, change, entered, members, day))
    if isinstance(command, Refusal):
        return page.problems(command)
    facts = ExternalFacts(members_in_use=current.members_in_use)
    costs = cost_by_month(current.state, command, day, current.now, current.book, facts)
    return page.problems(costs) if isinstance(costs, Refusal) else costs


def _argument(
    current: CurrentState, change: Action, entered: Mapping[str, str], members: int | None, day: date
) -> dict[str, Any]:
    """Return the argument of the command. A field that is empty keeps its present value."""
    on = entered["date"] or f"{day_of(current.now)}"
    if change is Action.CANCEL:
        return {"date": on, "confirmation": account_words(current.state)}
    argument: dict[str, Any] = {name: entered[name] for name in ("plan", "term") if entered[name]}
    if members is not None:
        argument["members"] = members
    match change:
        case Action.SWITCH:
            argument = {"term": "ANNUAL", **argument, "date": on}
        case Action.RENEWAL:
            argument = {"term": None, **argument}
        case Action.UPGRADE:
            argument["agreed_terms"] = [term.model_dump() for term in current_terms(current, day)]
    return argument
