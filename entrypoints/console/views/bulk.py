"""Bulk runs, for operators: list, form, dry run, start, progress and control."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from entrypoints.console.message_formatter import MessageFormatter
from entrypoints.console.page_context import PageContext
from entrypoints.console.sessions import Flash, FlashTone
from entrypoints.console.views.operator_list import named_filters, options_of
from starter.bulk import BulkRuns, DryRun
from starter.filter_values import plans_ever
from starter.search import InvalidQueryError
from starter.selection import Selection, parse_selection
from subscription.bulk import BULK_COMMANDS, DEFAULT_RATE, HIGHEST_RATE, BulkOutcome, parse_bulk_command
from subscription.business_calendar import KST, day_of
from subscription.catalogue import required_terms
from subscription.commands import Command, Upgrade
from subscription.refusals import Problem, Refusal, RefusalCode, RefusalError

_MOST_SUBSCRIPTIONS = 2_000
"""A dry run of more would occupy the process of the API for several seconds."""
_SHOWN_EFFECTS = 50
_RUNS_A_PAGE, _RESULTS_A_PAGE = 50, 50
_OWN_FIELDS = ("date", "term", "plan", "members")
_SELECTION_FIELDS = ("which", "query", "state", "customer_id")
_FIELDS = ("command", *_OWN_FIELDS, "agree", *_SELECTION_FIELDS, "ids", "rate")
_TAKES: Mapping[str, Sequence[str]] = {
    "switch_to_paid": ("date", "term", "plan", "members"),
    "change_renewal_option": ("term", "plan", "members"),
    "upgrade": ("term", "plan", "members"),
    "cancel": ("date",),
    "withdraw_reservation": (),
}
"""The fields of each command. The form has all of them, because it works without scripts."""


def _bulk(page: PageContext) -> BulkRuns:
    return page.client.bulk_runs(page.console.pool, most=_MOST_SUBSCRIPTIONS)


async def list_runs(page: PageContext) -> Response:
    """List the runs, the latest first."""
    skip = _number(page.request.query_params.get("skip"))
    found = await _bulk(page).runs(skip=skip, limit=_RUNS_A_PAGE + 1)
    return await page.render(
        "operator_bulk.html",
        runs=found[:_RUNS_A_PAGE],
        skip=skip,
        next_skip=skip + _RUNS_A_PAGE if len(found) > _RUNS_A_PAGE else None,
        commands=_command_labels(page),
        states=_state_labels(page),
    )


async def new_run(page: PageContext) -> Response:
    """Show the form of a new run."""
    return await _form(page, {}, {})


async def dry_run(page: PageContext) -> Response:
    """Show the dry run of the command in the form, with the button that starts exactly that."""
    if page.chooses_language:
        return await _form(page, page.form, {})
    try:
        command, selection = await _parsed(page)
        _rate(page)
        shown = await _bulk(page).preview(command, selection)
    except (RefusalError, InvalidQueryError) as error:
        return await _form(page, page.form, _problems(page, error))
    return await _review(page, shown, {})


async def start_run(page: PageContext) -> Response:
    """Start the run if its dry run is still what the page has shown."""
    try:
        command, selection = await _parsed(page)
        if page.chooses_language:
            return await _review(page, await _bulk(page).preview(command, selection), {})
        run = await _bulk(page).start(
            command,
            selection,
            preview=page.form.get("preview", ""),
            confirmation=page.form.get("confirmation", "").strip() or None,
            rate=_rate(page),
            issued_by=page.session.name if page.session else None,
        )
    except InvalidQueryError as error:
        return await _form(page, page.form, _problems(page, error))
    except RefusalError as error:
        problems = _problems(page, error)
        if error.refused.code not in (RefusalCode.PREVIEW_OUTDATED, RefusalCode.CONFIRMATION_DIFFERS):
            return await _form(page, page.form, problems)
        return await _review(page, await _bulk(page).preview(command, selection), problems)
    return await page.redirect(f"/operator/bulk/{quote(run.run_id)}", page.translator.gettext("Started."))


async def show_run(page: PageContext) -> Response:
    """Show the progress of a run, and a page of its results."""
    run_id, query = page.request.path_params["run_id"], page.request.query_params
    outcome = BulkOutcome(query["outcome"]) if query.get("outcome") in tuple(BulkOutcome) else None
    bulk = _bulk(page)
    try:
        run = await bulk.run(run_id)
    except RefusalError:
        return await page.not_found()
    found = await bulk.results(
        run_id, outcome=outcome, after=_number(query.get("after")), limit=_RESULTS_A_PAGE + 1
    )
    return await page.render(
        "operator_bulk_run.html",
        run=run,
        results=found[:_RESULTS_A_PAGE],
        next_after=found[_RESULTS_A_PAGE - 1].position if len(found) > _RESULTS_A_PAGE else None,
        outcome=outcome,
        commands=_command_labels(page),
        states=_state_labels(page),
        outcomes=_outcome_labels(page),
    )


async def control_run(page: PageContext) -> Response:
    """Pause, resume or stop a run."""
    run_id, action = page.request.path_params["run_id"], page.request.path_params["action"]
    gettext, bulk = page.translator.gettext, _bulk(page)
    actions = {
        "pause": (bulk.pause, Flash(gettext("Paused."), FlashTone.NEUTRAL)),
        "resume": (bulk.resume, Flash(gettext("Resumed."))),
        "stop": (bulk.stop, Flash(gettext("Stopped."), FlashTone.NEUTRAL)),
    }
    if action not in actions:
        return await page.not_found()
    control, done = actions[action]
    try:
        await control(run_id)
    except RefusalError as error:
        if error.refused.code is RefusalCode.BULK_RUN_NOT_FOUND:
            return await page.not_found()
        done = Flash(page.refusal(error.refused), FlashTone.NEUTRAL)
    return await page.redirect(f"/operator/bulk/{quote(run_id)}", done)


async def _parsed(page: PageContext) -> tuple[Command, Selection]:
    """Return the command and the selection of the form. Raises `RefusalError`."""
    form = {name: value.strip() for name, value in page.form.items() if value.strip()}
    name = form.get("command", "")
    argument: dict[str, Any] = {field: form[field] for field in _TAKES.get(name, ()) if field in form}
    if "members" in argument:
        argument["members"] = _number(argument["members"])
    if name == "change_renewal_option":
        argument.setdefault("term", None)
    if name == Upgrade.name:
        argument["agreed_terms"] = await _agreed_terms(page) if form.get("agree") else []
    command = parse_bulk_command(name, argument)
    if isinstance(command, Refusal):
        raise RefusalError(command)
    selected: dict[str, Any] = {field: form[field] for field in _SELECTION_FIELDS if field in form}
    if "ids" in form:
        selected["ids"] = re.split(r"[\s,;]+", form["ids"])
    return command, parse_selection(selected)


def _rate(page: PageContext) -> int:
    """Return the rate in the form. Raises `RefusalError`."""
    text = page.form.get("rate", "").strip()
    rate = _number(text) if text else DEFAULT_RATE
    if 1 <= rate <= HIGHEST_RATE:
        return rate
    problem = (
        Problem.of(RefusalCode.INVALID_VALUE, "rate", reason="AT_MOST", most=HIGHEST_RATE)
        if rate > HIGHEST_RATE
        else Problem.of(RefusalCode.INVALID_VALUE, "rate", reason="AT_LEAST", least=1)
    )
    raise RefusalError(Refusal.of_problems(RefusalCode.INVALID_ARGUMENT, [problem]))


async def _agreed_terms(page: PageContext) -> list[dict[str, str]]:
    catalogue = await page.client.catalogue()
    return (
        [{"id": term.id, "version": term.version} for term in required_terms(catalogue)] if catalogue else []
    )


def _problems(page: PageContext, error: RefusalError | InvalidQueryError) -> dict[str, str]:
    if isinstance(error, InvalidQueryError):
        return {"query": page.translator.gettext("Temporal cannot read this query.")}
    found = page.problems(error.refused)
    return {"confirmation" if field == "confirm" else field: said for field, said in found.items()}


async def _form(page: PageContext, entered: Mapping[str, str], problems: Mapping[str, str]) -> Response:
    book = await page.client.price_book()
    messages = MessageFormatter(page.translator, book)
    # A problem of a field that the form does not have belongs to the whole form.
    shown = {field if field in _FIELDS else "": said for field, said in problems.items()}
    return await page.render(
        "operator_bulk_new.html",
        status=422 if problems else 200,
        problems=shown,
        entered={name: entered.get(name, "") for name in _FIELDS},
        rate=entered.get("rate") or DEFAULT_RATE,
        most_rate=HIGHEST_RATE,
        most=_MOST_SUBSCRIPTIONS,
        today=day_of(datetime.now(KST)),
        commands=_command_labels(page),
        named=[("", page.translator.gettext("None")), *_named(page)],
        options=options_of(page, messages, plans_ever(book)),
        messages=messages,
    )


async def _review(page: PageContext, shown: DryRun, problems: Mapping[str, str]) -> Response:
    return await page.render(
        "operator_bulk_review.html",
        status=422 if problems else 200,
        problems={field if field == "confirmation" else "": said for field, said in problems.items()},
        summary=shown.summary,
        # The refused ones come first: they are few, and an operator looks for them.
        effects=sorted(shown.effects, key=lambda effect: effect.code is None)[:_SHOWN_EFFECTS],
        more=max(0, len(shown.effects) - _SHOWN_EFFECTS),
        fields={name: page.form.get(name, "") for name in _FIELDS},
        rate=page.form.get("rate") or DEFAULT_RATE,
        commands=_command_labels(page),
    )


def _named(page: PageContext) -> list[tuple[str, str]]:
    return [(name, labels[1]) for name, labels in named_filters(page).items()]


def _number(text: str | None) -> int:
    """Return the number in a field or a query parameter; 0 if it is none."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _command_labels(page: PageContext) -> dict[str, str]:
    gettext = page.translator.gettext
    labels = {
        "switch_to_paid": gettext("Switch to paid"),
        "change_renewal_option": gettext("Change the renewal option"),
        "upgrade": gettext("Upgrade"),
        "cancel": gettext("Cancel"),
        "withdraw_reservation": gettext("Withdraw the reservation"),
    }
    return {name: labels[name] for name in BULK_COMMANDS}


def _state_labels(page: PageContext) -> dict[str, tuple[str, str]]:
    """Return the label and the tone of each state of a run."""
    gettext = page.translator.gettext
    return {
        "RUNNING": (gettext("Running"), "info"),
        "PAUSED": (gettext("Paused"), "warn"),
        "STOPPED": (gettext("Stopped"), "bad"),
        "COMPLETED": (gettext("Completed"), "good"),
    }


def _outcome_labels(page: PageContext) -> dict[str, tuple[str, str]]:
    """Return the label and the tone of each outcome."""
    gettext = page.translator.gettext
    return {
        "ACCEPTED": (gettext("Accepted"), "good"),
        "REFUSED": (gettext("Refused"), "bad"),
        "UNANSWERED": (gettext("No answer"), "warn"),
    }
