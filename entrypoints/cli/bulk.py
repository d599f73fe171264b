"""`worksub bulk`: one command for many subscriptions, after a dry run."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.cli.errors import CommandError, ExitCode, usage_error
from entrypoints.cli.filters import (
    AccessFilter,
    CustomerFilter,
    NamedFilterOption,
    StateFilter,
    VisibilityQuery,
    check_not_empty,
    convert_invalid_query,
)
from entrypoints.cli.options import (
    DEFAULT_TIMEOUT,
    RELATIVE_DAYS,
    AsJson,
    CommandId,
    IssuedBy,
    Members,
    OptionalDate,
    OptionalTerm,
    Plan,
    Timeout,
    one_of,
)
from entrypoints.cli.output import console, print_status, prompt, show, show_json
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from starter.bulk import DryRun
    from starter.selection import Selection
    from subscription.commands import Command

app = typer.Typer()

_OPTIONS = {
    "switch": ("date", "term", "plan", "members"),
    "renewal": ("term", "none", "plan", "members"),
    "upgrade": ("plan", "members", "term", "agree"),
    "cancel": ("date", "confirm"),
    "withdraw": (),
}
"""The options of each command, besides those of all."""
_WIRE_NAMES = {
    "switch": "switch_to_paid",
    "renewal": "change_renewal_option",
    "upgrade": "upgrade",
    "cancel": "cancel",
    "withdraw": "withdraw_reservation",
}


def _commands() -> list[str]:
    return list(_OPTIONS)


@app.command(rich_help_panel="Change a subscription")
def bulk(
    command: Annotated[
        str,
        typer.Argument(
            parser=one_of(_commands),
            autocompletion=_commands,
            metavar="COMMAND",
            show_default=False,
            help="switch, renewal, upgrade, cancel or withdraw, with the options of that command.",
        ),
    ],
    ids: Annotated[
        Path | None,
        typer.Option(
            "--ids", metavar="FILE", help="File with a subscription ID in each line; - is standard input."
        ),
    ] = None,
    named: NamedFilterOption = None,
    query: VisibilityQuery = None,
    state: StateFilter = None,
    access: AccessFilter = None,
    customer: CustomerFilter = None,
    date: OptionalDate = None,
    term: OptionalTerm = None,
    plan: Plan = None,
    members: Members = None,
    none: Annotated[
        bool, typer.Option("--none", help="renewal: no option, so a monthly contract follows.")
    ] = False,
    agree: Annotated[
        bool, typer.Option("--agree", help="upgrade: agree to the current terms of service.")
    ] = False,
    confirm: Annotated[
        str | None,
        typer.Option(
            "--confirm", metavar="TEXT", help="cancel: the text that the dry run shows, such as 'cancel 40'."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the result for each subscription; start nothing.")
    ] = False,
    preview: Annotated[
        str | None,
        typer.Option("--preview", metavar="HASH", help="Start exactly what this dry run has shown."),
    ] = None,
    rate: Annotated[int, typer.Option("--rate", min=1, max=100, help="Commands a second.")] = 10,
    run_id: CommandId = None,
    by: IssuedBy = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Send one command to many subscriptions, after a dry run that shows each result.

    With --dry-run and --json, print one document for each subscription, and the sums last.
    """
    given = {
        "date": date,
        "term": term,
        "plan": plan,
        "members": members,
        "none": none or None,
        "agree": agree or None,
        "confirm": confirm,
    }
    for option, value in given.items():
        if value is not None and option not in _OPTIONS[command]:
            raise usage_error(f"{command} has no option --{option}.", field=option)
    if not (dry_run or preview or sys.stdin.isatty()):
        raise usage_error(
            "A bulk run starts only what a dry run has shown.",
            field="preview",
            advice="Run the command with --dry-run first, and then with the --preview that it prints.",
        )
    check_not_empty(query=query, customer=customer)
    selection = _selection(
        ids=_read_ids(ids) if ids else None,
        which=named,
        query=query,
        state=state,
        access=access,
        customer_id=customer,
    )
    with Session(timeout=timeout) as session:
        parsed = _parse(session, command, given)
        if preview is None:
            shown = _dry_run(session, parsed, selection)
            if dry_run:
                _show_dry_run(as_json, shown)
                return
            confirm = _prompt_for_confirmation(shown)
            preview = shown.summary.preview
        with convert_invalid_query(), _progress(session) as report:
            run = session.run_bulk(
                lambda bulk: bulk.start(
                    parsed,
                    selection,
                    preview=preview,
                    confirmation=confirm,
                    run_id=run_id,
                    rate=rate,
                    issued_by=by,
                    report=report,
                )
            )
    from entrypoints.cli.views.bulk import run_view

    show(as_json, run, lambda: run_view(run))


def _selection(**fields: Any) -> "Selection":
    from entrypoints.cli.errors import convert_refusals
    from starter.selection import parse_selection

    with convert_refusals():
        return parse_selection({name: value for name, value in fields.items() if value is not None})


def _read_ids(file: Path) -> list[str]:
    """Return the IDs of a file, each once."""
    from adapters.files import TooLargeError, read_text

    try:
        text = read_text(file)
    except (OSError, UnicodeDecodeError, TooLargeError) as error:
        match error:
            case OSError():
                reason = f"cannot be read: {error.strerror}"
            case UnicodeDecodeError():
                reason = "cannot be read: it is not UTF-8"
            case _:
                reason = str(error)
        raise usage_error(f"{file} {reason}.", field="ids") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise usage_error(f"{file} has no subscription IDs.", field="ids")
    ids = list(dict.fromkeys(lines))
    if len(ids) < len(lines):
        print_status(f"{len(lines) - len(ids):,} repeated IDs are ignored.")
    return ids


def _parse(session: Session, name: str, given: dict[str, Any]) -> "Command":
    """Return the command with the options given for it; `today` is today in Korea."""
    from entrypoints.cli.errors import refusal
    from subscription.bulk import parse_bulk_command
    from subscription.business_calendar import KST
    from subscription.refusals import Refusal

    argument = {option: given[option] for option in ("term", "plan", "members") if given[option] is not None}
    if given["date"] in RELATIVE_DAYS:
        day = datetime.now(KST).date() + timedelta(days=RELATIVE_DAYS[given["date"]])
        argument["date"] = day.isoformat()
    elif given["date"] is not None:
        argument["date"] = given["date"]
    if name == "renewal":
        if bool(given["none"]) == ("term" in argument):
            raise usage_error("Specify either --term for the next contract, or --none.", field="term")
        argument.setdefault("term", None)
    if name == "upgrade":
        argument["agreed_terms"] = _agreed_terms(session, agree=bool(given["agree"]))
    parsed = parse_bulk_command(_WIRE_NAMES[name], argument)
    if isinstance(parsed, Refusal):
        raise refusal(parsed)
    return parsed


def _agreed_terms(session: Session, *, agree: bool) -> list[dict[str, str]]:
    from subscription.catalogue import required_terms

    if not agree:
        raise usage_error(
            "An upgrade requires agreement to the current terms of service.",
            field="agree",
            advice="If the customers have agreed, add --agree.",
        )
    catalogue = session.run_query(lambda queries: queries.catalogue())
    terms = required_terms(catalogue) if catalogue else ()
    return [{"id": term.id, "version": term.version} for term in terms]


def _dry_run(session: Session, command: "Command", selection: "Selection") -> "DryRun":
    with convert_invalid_query(), _progress(session) as report:
        return session.run_bulk(lambda bulk: bulk.preview(command, selection, report))


@contextlib.contextmanager
def _progress(session: Session) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that shows the progress of a dry run, which extends the timeout.

    A terminal has a progress bar, another standard error a line from time to time.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: session.reset_timeout(f"{done:,} of {total:,} subscriptions calculated…")
        return
    from entrypoints.cli.progress import count_progress

    with count_progress(console(stderr=True), "Dry run") as show_progress:

        def report(done: int, total: int) -> None:
            session.reset_timeout()
            show_progress(done, total)

        yield report


def _show_dry_run(as_json: bool, shown: "DryRun") -> None:
    from entrypoints.cli.views.bulk import dry_run_view

    if as_json:
        for effect in shown.effects:
            show_json(effect)
    show(as_json, shown.summary, lambda: dry_run_view(shown, how_to_start=True))


def _prompt_for_confirmation(shown: "DryRun") -> str:
    from entrypoints.cli.views.bulk import NOTHING_TO_START, dry_run_view

    console(stderr=True).print(dry_run_view(shown, how_to_start=False))
    if not shown.summary.accepted:
        raise CommandError(ExitCode.REFUSED, "NOTHING_TO_START", NOTHING_TO_START)
    expected = shown.summary.confirmation or "yes"
    answer = prompt(f"To start exactly this, type {expected}: ").strip()
    if answer != expected:
        raise CommandError(ExitCode.REFUSED, "CONFIRMATION_DIFFERS", "Not confirmed, so nothing was started.")
    return answer
