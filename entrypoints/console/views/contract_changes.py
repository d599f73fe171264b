"""Forms for the switch to paid (R16), the renewal option (R24) and upgrades (R25)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from entrypoints.console.available_actions import (
    Action,
    CommandPreview,
    catalogue_now,
    cost_of,
    plans_to_choose,
    plans_to_upgrade_to,
    preview_command,
)
from entrypoints.console.confirmation_digest import digest, is_as_shown, was_carried_out
from entrypoints.console.page_context import PageContext
from entrypoints.console.request_draft import NOT_A_NUMBER, whole_number
from entrypoints.console.views.command_forms import (
    changed_meanwhile,
    form_page,
    redirect_with_result,
    run_client,
)
from starter.client import CurrentState
from subscription.business_calendar import day_of
from subscription.commands import parse_command
from subscription.contract import ContractTerm
from subscription.decide import latest_switch
from subscription.forecast import ChangeQuote
from subscription.refusals import Refusal, RefusalError
from subscription.state import ReservedSwitch

Fields = Mapping[str, str]

_COMMANDS = {
    Action.SWITCH: "switch_to_paid",
    Action.RENEWAL: "change_renewal_option",
    Action.UPGRADE: "upgrade",
}
_FIELDS = ("date", "plan", "term", "members", "agreed")


@dataclass(frozen=True)
class _Choice:
    """Entered values of a form, and their effects by the rules."""

    standing: CurrentState
    action: Action
    entered: Fields
    argument: Mapping[str, Any]
    foreseen: CommandPreview | None
    cost: ChangeQuote | None
    problems: Mapping[str, str]

    def shown(self, visit: PageContext) -> str:
        """Return the digest of the facts that the review page shows."""
        state = self.standing.state
        return digest(
            visit,
            self.action,
            state.subscription_id,
            self.argument,
            day_of(self.standing.now),
            self.foreseen,
            self.cost,
            state.reservation,
            state.claim is not None,
            now=self.standing.now,
        )


async def show_switch(visit: PageContext) -> Response:
    """Show the form, or, with `review` in the query, the effects of the switch for confirmation."""
    return await _show(visit, Action.SWITCH)


async def show_renewal(visit: PageContext) -> Response:
    return await _show(visit, Action.RENEWAL)


async def show_upgrade(visit: PageContext) -> Response:
    """Show the steps of an upgrade, which are those of a request: product, terms, details."""
    return await _show(visit, Action.UPGRADE)


async def take_switch(visit: PageContext) -> Response:
    return await _confirm(visit, Action.SWITCH)


async def take_renewal(visit: PageContext) -> Response:
    return await _confirm(visit, Action.RENEWAL)


async def take_upgrade(visit: PageContext) -> Response:
    return await _confirm(visit, Action.UPGRADE)


async def _show(visit: PageContext, action: Action) -> Response:
    standing = await visit.desk.standing(visit.subscription_id)
    query = visit.request.query_params
    typed = {name: query[name] for name in _FIELDS if name in query}
    if "agreed" in typed:
        typed["agreed"] = ",".join(query.getlist("agreed"))
    entered = {**_initial_values(standing, action), **typed}
    if "review" in query:
        return await _review(visit, _choice(visit, standing, action, entered))
    if action is Action.UPGRADE and "terms" in query:
        agreeing = {**entered, "agreed": ",".join(f"{term.id}:{term.version}" for term in _terms(standing))}
        choice = _choice(visit, standing, action, agreeing)
        if not choice.problems:
            return await _terms_page(visit, standing, entered)
        return await _form(visit, standing, action, entered, choice.problems, 422)
    return await _form(visit, standing, action, entered)


async def _confirm(visit: PageContext, action: Action) -> Response:
    """Send the command that the page showed. If the page would now show other facts, show it again."""
    standing = await visit.desk.standing(visit.subscription_id)
    entered = {name: visit.form.get(name, "") for name in _FIELDS}
    choice = _choice(visit, standing, action, entered)
    if not await was_carried_out(visit) and not is_as_shown(visit, choice.shown(visit)):
        return await _review(visit, choice, {"": changed_meanwhile(visit)})
    try:
        return await redirect_with_result(
            visit, await run_client(visit, _COMMANDS[action], choice.argument, standing)
        )
    except RefusalError as refusal:
        choice = _choice(visit, await visit.desk.standing(visit.subscription_id), action, entered)
        return await _review(visit, choice, visit.problems(refusal.refused))


async def _review(visit: PageContext, choice: _Choice, problems: Mapping[str, str] | None = None) -> Response:
    """Return the confirmation page of the choice, or the form if the rules would refuse the choice.

    `problems` explain why a confirmation was not executed. Their status is 409 (conflict) on both pages.
    """
    status = 409 if problems else 422
    found = {**(problems or {}), **choice.problems}
    if choice.foreseen is not None:
        return await form_page(
            visit,
            "command/review.html",
            choice.standing,
            choice.action,
            entered=choice.entered,
            foreseen=choice.foreseen,
            cost=choice.cost,
            agreed_terms=choice.argument.get("agreed_terms", ()),
            shown=choice.shown(visit),
            problems=found,
            status=409 if found else 200,
        )
    if "agreed_terms" in found:
        return await _terms_page(visit, choice.standing, choice.entered, found, status)
    return await _form(visit, choice.standing, choice.action, choice.entered, found, status)


async def _terms_page(
    visit: PageContext,
    standing: CurrentState,
    entered: Fields,
    problems: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    return await form_page(
        visit,
        "command/upgrade_terms.html",
        standing,
        Action.UPGRADE,
        entered=entered,
        terms=_terms(standing),
        problems=problems or {},
        status=status,
    )


async def _form(
    visit: PageContext,
    standing: CurrentState,
    action: Action,
    entered: Fields,
    problems: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    today = day_of(standing.now)
    return await form_page(
        visit,
        f"command/{action}.html",
        standing,
        action,
        entered=entered,
        plans=plans_to_upgrade_to(standing) if action is Action.UPGRADE else plans_to_choose(standing),
        latest=latest_switch(standing.state) if standing.state.grace_ends_at else today,
        problems=problems or {},
        status=status,
    )


def _initial_values(standing: CurrentState, action: Action) -> dict[str, str]:
    """Return the initial values of the form: the reserved or current ones."""
    state = standing.state
    if action is Action.RENEWAL:
        option = state.renewal
        return {
            "term": option.term.value if option else "NONE",
            "plan": (option and option.plan) or "",
            "members": str(option.members) if option and option.members else "",
        }
    if action is Action.UPGRADE:
        term = state.contract.term if state.contract else ContractTerm.MONTHLY
        return {"plan": state.plan, "members": str(state.members), "term": term.value}
    reserved = state.reservation if isinstance(state.reservation, ReservedSwitch) else None
    return {
        "date": f"{reserved.date if reserved else day_of(standing.now)}",
        "term": (reserved.term if reserved else ContractTerm.ANNUAL).value,
        "plan": reserved.plan if reserved else state.plan,
        "members": str(reserved.members if reserved else state.members),
    }


def _choice(visit: PageContext, standing: CurrentState, action: Action, entered: Fields) -> _Choice:
    argument = _argument(standing, action, entered)
    command = parse_command(_COMMANDS[action], argument)
    foreseen = command if isinstance(command, Refusal) else preview_command(standing, command)
    problems = visit.problems(foreseen) if isinstance(foreseen, Refusal) else {}
    if "members" not in argument and (entered.get("members") or action is not Action.RENEWAL):
        problems["members"] = visit.refusal(NOT_A_NUMBER)
    possible = not problems and not isinstance(foreseen, Refusal) and not isinstance(command, Refusal)
    return _Choice(
        standing=standing,
        action=action,
        entered=entered,
        argument=argument,
        foreseen=foreseen if possible and isinstance(foreseen, CommandPreview) else None,
        cost=cost_of(standing, command) if possible and not isinstance(command, Refusal) else None,
        problems=problems,
    )


def _argument(standing: CurrentState, action: Action, entered: Fields) -> dict[str, Any]:
    """Convert form fields to the argument of a command. Empty fields are omitted."""
    argument: dict[str, Any] = {name: entered[name] for name in ("date", "plan", "term") if entered.get(name)}
    members = whole_number(entered.get("members", ""))
    if members is not None:
        argument["members"] = members
    if action is Action.RENEWAL and argument.get("term") == "NONE":
        argument["term"] = None
    if action is Action.UPGRADE:
        ticked = entered.get("agreed", "").split(",")
        argument["agreed_terms"] = [
            {"id": term.id, "version": term.version}
            for term in _terms(standing)
            if f"{term.id}:{term.version}" in ticked
        ]
    return argument


def _terms(standing: CurrentState) -> tuple[Any, ...]:
    catalogue = catalogue_now(standing)
    return catalogue.terms if catalogue else ()
