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
from entrypoints.console.change_summary import ChangeSummary, compare_command_terms, summary_of
from entrypoints.console.confirmation_digest import digest, is_as_shown, was_carried_out
from entrypoints.console.page_context import PageContext
from entrypoints.console.request_draft import NOT_A_NUMBER, whole_number
from entrypoints.console.views.command_forms import (
    changed_meanwhile,
    current_after,
    form_page,
    redirect_with_result,
    run_client,
)
from starter.client import CurrentState
from subscription.business_calendar import day_of
from subscription.catalogue import Term
from subscription.commands import Command, parse_command
from subscription.contract import ContractTerm
from subscription.decide import latest_switch
from subscription.forecast import ChangeQuote
from subscription.refusals import Refusal, RefusalError
from subscription.state import ReservedSwitch
from subscription.term_comparison import TermComparison

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

    current: CurrentState
    action: Action
    entered: Fields
    argument: Mapping[str, Any]
    foreseen: CommandPreview | None
    summary: ChangeSummary | None
    comparison: TermComparison | None
    problems: Mapping[str, str]

    def shown(self, page: PageContext) -> str:
        """Return the digest of the facts that the review page shows."""
        state = self.current.state
        return digest(
            page,
            self.action,
            state.subscription_id,
            self.argument,
            day_of(self.current.now),
            self.foreseen,
            self.summary,
            self.comparison,
            state.reservation,
            state.pending_domain is not None,
            state.domain_lost,
            now=self.current.now,
        )


async def get_switch(page: PageContext) -> Response:
    """Show the form, or, with `review` in the query, the effects of the switch for confirmation."""
    return await _show(page, Action.SWITCH)


async def get_renewal(page: PageContext) -> Response:
    return await _show(page, Action.RENEWAL)


async def get_upgrade(page: PageContext) -> Response:
    """Show the steps of an upgrade, which are those of a request: product, terms, details."""
    return await _show(page, Action.UPGRADE)


async def post_switch(page: PageContext) -> Response:
    return await _confirm(page, Action.SWITCH)


async def post_renewal(page: PageContext) -> Response:
    return await _confirm(page, Action.RENEWAL)


async def post_upgrade(page: PageContext) -> Response:
    return await _confirm(page, Action.UPGRADE)


async def _current(page: PageContext, action: Action) -> CurrentState:
    current = await page.client.current_state(page.subscription_id)
    if action is Action.UPGRADE and (catalogue := catalogue_now(current)):
        page.name_terms(await page.client.with_texts(catalogue))
    return current


async def _show(page: PageContext, action: Action) -> Response:
    current = await _current(page, action)
    query = page.request.query_params
    typed = {name: query[name] for name in _FIELDS if name in query}
    if "agreed" in typed:
        typed["agreed"] = ",".join(query.getlist("agreed"))
    entered = {**_initial_values(current, action), **typed}
    if "review" in query:
        return await _review(page, _choice(page, current, action, entered))
    if action is Action.UPGRADE and "terms" in query:
        agreeing = {**entered, "agreed": ",".join(f"{term.id}:{term.version}" for term in _terms(current))}
        choice = _choice(page, current, action, agreeing)
        if not choice.problems:
            return await _terms_page(page, current, entered)
        return await _form(page, current, action, entered, choice.problems, 422)
    return await _form(page, current, action, entered)


async def _confirm(page: PageContext, action: Action) -> Response:
    """Send the command that the page showed. If the page would now show other facts, show it again."""
    current = await _current(page, action)
    entered = {name: page.form.get(name, "") for name in _FIELDS}
    choice = _choice(page, current, action, entered)
    if not await was_carried_out(page) and not is_as_shown(page, choice.shown(page)):
        return await _review(page, choice, {"": changed_meanwhile(page)})
    try:
        return await redirect_with_result(
            page, await run_client(page, _COMMANDS[action], choice.argument, current)
        )
    except RefusalError as refusal:
        current = await current_after(page, refusal.refused, current)
        choice = _choice(page, current, action, entered)
        return await _review(page, choice, page.problems(refusal.refused))


async def _review(page: PageContext, choice: _Choice, problems: Mapping[str, str] | None = None) -> Response:
    """Return the confirmation page of the choice, or the form if the rules would refuse the choice.

    `problems` explain why a confirmation was not executed. Their status is 409 (conflict) on both pages.
    """
    status = 409 if problems else 422
    found = {**(problems or {}), **choice.problems}
    if choice.foreseen is not None:
        return await form_page(
            page,
            "command/review.html",
            choice.current,
            choice.action,
            entered=choice.entered,
            foreseen=choice.foreseen,
            summary=choice.summary,
            comparison=choice.comparison,
            agreed_terms=choice.argument.get("agreed_terms", ()),
            shown=choice.shown(page),
            problems=found,
            status=409 if found else 200,
        )
    if "agreed_terms" in found:
        return await _terms_page(page, choice.current, choice.entered, found, status)
    return await _form(page, choice.current, choice.action, choice.entered, found, status)


async def _terms_page(
    page: PageContext,
    current: CurrentState,
    entered: Fields,
    problems: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    catalogue = catalogue_now(current)
    return await form_page(
        page,
        "command/upgrade_terms.html",
        current,
        Action.UPGRADE,
        entered=entered,
        terms=(await page.client.with_texts(catalogue)).terms if catalogue else (),
        problems=problems or {},
        status=status,
    )


async def _form(
    page: PageContext,
    current: CurrentState,
    action: Action,
    entered: Fields,
    problems: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    today = day_of(current.now)
    plans = plans_to_upgrade_to(current) if action is Action.UPGRADE else plans_to_choose(current)
    return await form_page(
        page,
        f"command/{action}.html",
        current,
        action,
        entered=entered,
        plans=plans,
        plan_titles=[(plan, offer.title) for plan, offer in plans.items()],
        latest=latest_switch(current.state) if current.state.grace_ends_at else today,
        comparison=compare_command_terms(current, _parsed(current, action, entered)),
        next_contracts=_next_contracts(current, entered) if action is Action.RENEWAL else {},
        problems=problems or {},
        status=status,
    )


def _next_contracts(current: CurrentState, entered: Fields) -> dict[str, ChangeQuote]:
    """Return the next contract under each choice of the form, with the entered plan and members."""
    choices = {term.value: {**entered, "term": term.value} for term in ContractTerm}
    choices["NONE"] = {"term": "NONE"}
    commands = {name: _parsed(current, Action.RENEWAL, each) for name, each in choices.items()}
    costs = {name: cost_of(current, command) for name, command in commands.items()}
    return {name: cost for name, cost in costs.items() if cost}


def _parsed(current: CurrentState, action: Action, entered: Fields) -> Command | Refusal:
    return parse_command(_COMMANDS[action], _argument(current, action, entered))


def _initial_values(current: CurrentState, action: Action) -> dict[str, str]:
    """Return the initial values of the form: the reserved or current ones."""
    state = current.state
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
        "date": f"{reserved.date if reserved else day_of(current.now)}",
        "term": (reserved.term if reserved else ContractTerm.ANNUAL).value,
        "plan": reserved.plan if reserved else state.plan,
        "members": str(reserved.members if reserved else state.members),
    }


def _choice(page: PageContext, current: CurrentState, action: Action, entered: Fields) -> _Choice:
    argument = _argument(current, action, entered)
    command = _parsed(current, action, entered)
    foreseen = command if isinstance(command, Refusal) else preview_command(current, command)
    problems = page.problems(foreseen) if isinstance(foreseen, Refusal) else {}
    if "members" not in argument and (entered.get("members") or action is not Action.RENEWAL):
        problems["members"] = page.refusal(NOT_A_NUMBER)
    possible = not problems and not isinstance(foreseen, Refusal) and not isinstance(command, Refusal)
    return _Choice(
        current=current,
        action=action,
        entered=entered,
        argument=argument,
        foreseen=foreseen if possible and isinstance(foreseen, CommandPreview) else None,
        summary=summary_of(current, command, foreseen) if possible else None,
        comparison=compare_command_terms(current, command) if possible else None,
        problems=problems,
    )


def _argument(current: CurrentState, action: Action, entered: Fields) -> dict[str, Any]:
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
            for term in _terms(current)
            if f"{term.id}:{term.version}" in ticked
        ]
    return argument


def _terms(current: CurrentState) -> tuple[Term, ...]:
    catalogue = catalogue_now(current)
    return catalogue.terms if catalogue else ()
