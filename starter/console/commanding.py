"""What is asked of a subscription on its page: looked at first, with dates and amounts, then done, once."""

import uuid
from collections.abc import Mapping
from datetime import date
from typing import Any

from starlette.responses import Response

from starter.client import Standing
from starter.console.detail import account_of, shown
from starter.console.drafts import whole_number
from starter.console.judging import Action as Asked
from starter.console.judging import (
    catalogue_now,
    cost_of,
    current_terms,
    judge,
    outlook,
    plans_to_choose,
    plans_to_upgrade_to,
    refusals,
)
from starter.console.visit import Visit
from starter.console.wording import Speaker
from subscription.calendar import day_of
from subscription.catalogue import Term
from subscription.commands import ContractTerm, read_command
from subscription.decide import latest_cancellation, latest_switch
from subscription.effects import Answer
from subscription.refusals import Refused, RefusedError

Fields = Mapping[str, str]


async def ask(visit: Visit, name: str, argument: Mapping[str, Any]) -> Answer:
    """Send a command, under the id of the form that it comes from: a double click does it once (R22)."""
    assert visit.session is not None
    command_id = visit.form.get("command_id") or str(uuid.uuid4())
    carried = {"id": command_id[:100], "by": visit.session.name}
    return await visit.desk.command(visit.subscription_id, name, {**argument, **carried})


async def done(visit: Visit, answer: Answer) -> Response:
    """Back on the subscription's page, which says what the command has caused."""
    events = [entry.sequence for entry in answer.events]
    happened = await visit.desk.history(visit.subscription_id)
    speak = Speaker(visit.words, await visit.desk.price_book())
    said = " ".join(speak.event(happened[number - 1]) for number in events if number <= len(happened))
    return await visit.go(f"/subscriptions/{visit.subscription_id}", said or answer.message)


async def judged(visit: Visit, name: str, argument: Mapping[str, Any]) -> Response:
    """Do it, and where the rules say no, say why on the subscription's page."""
    try:
        return await done(visit, await ask(visit, name, argument))
    except RefusedError as refusal:
        return await shown(visit, problems={"": visit.refusal(refusal.refused)}, status=422)


async def form_page(
    visit: Visit,
    template: str,
    standing: Standing,
    action: Asked,
    *,
    status: int = 200,
    **context: Any,
) -> Response:
    """The page of one action. Where the action is not possible now, it says why and offers nothing."""
    refused = refusals(standing)[action]
    return await visit.page(
        template if refused is None else "command/impossible.html",
        status=status if refused is None else 409,
        action=action,
        state=standing.state,
        today=day_of(standing.now),
        account=account_of(standing),
        speak=Speaker(visit.words, standing.book),
        command_id=str(uuid.uuid4()),
        refused=refused and visit.refusal(refused),
        **context,
    )


# -- withdraw, domain proof ----------------------------------------------------------------------------


async def withdraw(visit: Visit) -> Response:
    return await judged(visit, "withdraw_reservation", {})


async def check_domain(visit: Visit) -> Response:
    say = visit.words.say
    try:
        answer = await ask(visit, "check_domain", {})
    except RefusedError as refusal:
        return await shown(visit, problems={"": visit.refusal(refusal.refused)}, status=422)
    if not answer.events:
        not_yet = say("The proof was not found just now; looking goes on. DNS may take a while.")
        return await visit.go(f"/subscriptions/{visit.subscription_id}", not_yet)
    return await done(visit, answer)


# -- rename (R10) --------------------------------------------------------------------------------------


async def show_rename(visit: Visit) -> Response:
    standing = await visit.desk.standing(visit.subscription_id)
    state = standing.state
    entered = {"kind": state.account.kind.value if state.account else "GROUP", "name": ""}
    return await form_page(visit, "command/rename.html", standing, Asked.RENAME, entered=entered)


async def take_rename(visit: Visit) -> Response:
    kind = "domain" if visit.form.get("kind") == "DOMAIN" else "group"
    name = visit.form.get("name", "").strip()[:300]
    try:
        return await done(visit, await ask(visit, "rename_account", {kind: name}))
    except RefusedError as refusal:
        problems = visit.problems(refusal.refused, group="name", domain="name", account_group="name")
        problems = {"name": " ".join(problems.values())}
        standing = await visit.desk.standing(visit.subscription_id)
        entered = {"kind": kind.upper(), "name": name}
        return await form_page(
            visit,
            "command/rename.html",
            standing,
            Asked.RENAME,
            entered=entered,
            problems=problems,
            status=422,
        )


# -- switch to paid (R16), renewal option (R24), upgrade (R25) -------------------------------------------


async def show_switch(visit: Visit) -> Response:
    """Choose; then, with `review` in the query, see what would follow, and confirm."""
    standing = await visit.desk.standing(visit.subscription_id)
    state, today, asked = standing.state, day_of(standing.now), visit.request.query_params
    entered = {
        "date": asked.get("date", today.isoformat()),
        "term": asked.get("term", ContractTerm.ANNUAL.value),
        "plan": asked.get("plan", state.plan),
        "members": asked.get("members", str(state.members)),
    }
    latest = latest_switch(state) if state.grace_ends_at else today
    return await _choosing(
        visit, standing, Asked.SWITCH, "switch_to_paid", entered, first=today, latest=latest
    )


async def show_renewal(visit: Visit) -> Response:
    standing = await visit.desk.standing(visit.subscription_id)
    asked, option = visit.request.query_params, standing.state.renewal
    entered = {
        "term": asked.get("term", option.term.value if option else "NONE"),
        "plan": asked.get("plan", (option and option.plan) or ""),
        "members": asked.get("members", str(option.members) if option and option.members else ""),
    }
    return await _choosing(visit, standing, Asked.RENEWAL, "change_renewal_option", entered)


async def show_upgrade(visit: Visit) -> Response:
    """The request's stages again: product, terms, details."""
    standing = await visit.desk.standing(visit.subscription_id)
    state, asked = standing.state, visit.request.query_params
    entered = {
        "plan": asked.get("plan", state.plan),
        "members": asked.get("members", str(state.members)),
        "term": asked.get("term", state.contract.term.value if state.contract else "MONTHLY"),
        "agreed": ",".join(asked.getlist("agreed")),
    }
    catalogue = catalogue_now(standing)
    terms: tuple[Term, ...] = catalogue.terms if catalogue else ()
    if "terms" in asked:
        trial = read_command(
            "upgrade", {**_argument("upgrade", entered), "agreed_terms": _all_terms(standing)}
        )
        problems = _problems(visit, trial if isinstance(trial, Refused) else judge(standing, trial))
        if not problems:
            return await form_page(
                visit, "command/upgrade_terms.html", standing, Asked.UPGRADE, entered=entered, terms=terms
            )
        return await _choosing(visit, standing, Asked.UPGRADE, "upgrade", entered, problems=problems)
    return await _choosing(visit, standing, Asked.UPGRADE, "upgrade", entered, terms=terms)


async def take_switch(visit: Visit) -> Response:
    return await judged(visit, "switch_to_paid", _argument("switch_to_paid", visit.form))


async def take_renewal(visit: Visit) -> Response:
    return await judged(visit, "change_renewal_option", _argument("change_renewal_option", visit.form))


async def take_upgrade(visit: Visit) -> Response:
    standing = await visit.desk.standing(visit.subscription_id)
    return await judged(visit, "upgrade", _upgrade(visit.form, standing))


async def _choosing(
    visit: Visit, standing: Standing, action: Asked, name: str, entered: Fields, **context: Any
) -> Response:
    """The form; or the review of what was chosen, where the rules would accept it."""
    problems: Mapping[str, str] = context.pop("problems", {})
    if "review" in visit.request.query_params:
        argument = _upgrade(entered, standing) if name == "upgrade" else _argument(name, entered)
        command = read_command(name, argument)
        foreseen = command if isinstance(command, Refused) else outlook(standing, command)
        if not isinstance(command, Refused) and not isinstance(foreseen, Refused):
            return await form_page(
                visit,
                "command/review.html",
                standing,
                action,
                entered=entered,
                foreseen=foreseen,
                cost=cost_of(standing, command),
            )
        problems = _problems(visit, foreseen)
        if "agreed_terms" in problems:
            return await form_page(
                visit,
                "command/upgrade_terms.html",
                standing,
                action,
                entered=entered,
                problems=problems,
                status=422,
                **context,
            )
    return await form_page(
        visit,
        f"command/{action}.html",
        standing,
        action,
        entered=entered,
        plans=plans_to_upgrade_to(standing) if action is Asked.UPGRADE else plans_to_choose(standing),
        problems=problems,
        status=422 if problems else 200,
        **context,
    )


def _problems(visit: Visit, verdict: object) -> dict[str, str]:
    return visit.problems(verdict) if isinstance(verdict, Refused) else {}


def _all_terms(standing: Standing) -> list[dict[str, str]]:
    return [term.model_dump() for term in current_terms(standing)]


def _upgrade(entered: Fields, standing: Standing) -> dict[str, Any]:
    """What was chosen, less what is as it is already; the rules judge what is lower."""
    catalogue = catalogue_now(standing)
    ticked = set(entered.get("agreed", "").split(","))
    terms = catalogue.terms if catalogue else ()
    agreed = [{"id": term.id, "version": term.version} for term in terms if term.id in ticked]
    return {**_argument("upgrade", entered), "agreed_terms": agreed}


def _argument(name: str, entered: Fields) -> dict[str, Any]:
    """A form's words as a command's argument. An empty field is one that was not given."""
    argument: dict[str, Any] = {}
    for field in ("date", "plan", "term"):
        if entered.get(field):
            argument[field] = entered[field]
    if entered.get("members"):
        argument["members"] = whole_number(entered["members"])
    if name == "change_renewal_option" and argument.get("term") == "NONE":
        return {"term": None}
    return argument


# -- cancel (R27, R28, R30) ------------------------------------------------------------------------------


async def show_cancel(visit: Visit) -> Response:
    standing = await visit.desk.standing(visit.subscription_id)
    today = day_of(standing.now)
    return await _cancel_page(visit, standing, visit.request.query_params.get("date", today.isoformat()))


async def take_cancel(visit: Visit) -> Response:
    day = visit.form.get("date", "")
    if changed := await _changed_cost(visit, day):
        standing = await visit.desk.standing(visit.subscription_id)
        return await _cancel_page(visit, standing, day, {"": changed})
    try:
        argument = {"date": day, "confirmation": visit.form.get("confirmation", "").strip()[:300]}
        return await done(visit, await ask(visit, "cancel", argument))
    except RefusedError as refusal:
        standing = await visit.desk.standing(visit.subscription_id)
        return await _cancel_page(visit, standing, day, visit.problems(refusal.refused))


async def _changed_cost(visit: Visit, day: str) -> str | None:
    """Why this is not what was agreed to: leaving costs something else than the page said (R30).

    What cannot be quoted is judged by the rules, a form that is sent twice too.
    """
    quote = (await _quoted(visit, day))["quote"]
    shown = visit.form.get("cost")
    if quote is None or not shown or shown == str(quote.penalty):
        return None
    return visit.words.say(
        "The cost of leaving has changed since the page was opened. Nothing was done; look at it again."
    )


async def quote(visit: Visit) -> Response:
    """What a cancellation on a date costs, as a piece of the page: for browsers that run our script."""
    standing = await visit.desk.standing(visit.subscription_id)
    return await visit.page(
        "command/quote.html",
        speak=Speaker(visit.words, standing.book),
        **await _quoted(visit, visit.request.query_params.get("date", "")),
    )


async def _cancel_page(
    visit: Visit, standing: Standing, day: str, problems: Mapping[str, str] | None = None
) -> Response:
    today, state = day_of(standing.now), standing.state
    latest = latest_cancellation(state, today) if state.state.commandable else today
    free_on = None
    if state.contract and state.contract.term is ContractTerm.ANNUAL:
        free_on = state.contract.end_day
    return await form_page(
        visit,
        "command/cancel.html",
        standing,
        Asked.CANCEL,
        status=422 if problems else 200,
        problems=problems or {},
        date=day,
        latest=latest,
        free_on=free_on,
        **await _quoted(visit, day),
    )


async def _quoted(visit: Visit, day: str) -> dict[str, Any]:
    try:
        wanted = date.fromisoformat(day)
        return {
            "quote": await visit.desk.quote_cancellation(visit.subscription_id, wanted),
            "quote_refused": None,
        }
    except ValueError:
        return {"quote": None, "quote_refused": visit.words.say("Enter a date such as 2027-01-31.")}
    except RefusedError as refusal:
        return {"quote": None, "quote_refused": visit.refusal(refusal.refused)}
