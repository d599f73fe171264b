"""`worksub bulk-runs`: progress, results and control of bulk runs."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.cli.options import AfterNumber, AsJson, PageSize, one_of
from entrypoints.cli.output import console, show
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from subscription.bulk import BulkRun

app = typer.Typer(help="Show, pause, resume and stop bulk runs.", no_args_is_help=True)
PANEL = "Run the service"
_WATCH_SECONDS = 1.0

Watch = Annotated[
    bool,
    typer.Option(
        "--watch",
        help="Show the progress until the run has ended, or Ctrl-C. With --json, one document per change.",
    ),
]

RunId = Annotated[
    str, typer.Argument(metavar="RUN", help="ID of the run, as shown by `list`.", show_default=False)
]


def _outcomes() -> list[str]:
    from subscription.bulk import BulkOutcome

    return list(BulkOutcome)


@app.command("list")
def list_runs(limit: PageSize = 20, as_json: AsJson = False) -> None:
    """List the bulk runs with their progress, the latest first."""
    with Session() as session:
        runs = session.run_bulk(lambda bulk: bulk.runs(limit=limit))
    from entrypoints.cli.views.bulk import runs_table

    show(as_json, {"runs": runs}, lambda: runs_table(runs) if runs else "There are no bulk runs.")


@app.command("show")
def show_run(run_id: RunId, watch: Watch = False, as_json: AsJson = False) -> None:
    """Show the state and the progress of a bulk run."""
    with Session() as session:
        changes = _changes(session, run_id)
        run = next(changes)
        if watch and not as_json and sys.stderr.isatty():
            run = _follow(run, changes)
        _show(as_json, run)
        if watch:
            for change in changes:
                _show(as_json, change)


def _changes(session: Session, run_id: str) -> Iterator["BulkRun"]:
    """Yield the run, and again after each change until it has ended."""
    shown: BulkRun | None = None
    while shown is None or not shown.state.has_ended:
        run = session.run_bulk(lambda bulk: bulk.run(run_id))
        if run != shown:
            yield run
        shown = run
        if not run.state.has_ended:
            session.wait(_WATCH_SECONDS)


def _follow(run: "BulkRun", changes: Iterator["BulkRun"]) -> "BulkRun":
    """Show a progress bar until the run has ended, and return it then."""
    from entrypoints.cli.progress import count_progress

    with count_progress(console(stderr=True), run.command) as show_progress:
        show_progress(run.subscriptions - run.waiting, run.subscriptions)
        for change in changes:
            run = change
            show_progress(run.subscriptions - run.waiting, run.subscriptions)
    return run


@app.command("results")
def list_results(
    run_id: RunId,
    outcome: Annotated[
        str | None,
        typer.Option(
            "--outcome",
            parser=one_of(_outcomes),
            autocompletion=_outcomes,
            metavar="OUTCOME",
            help="ACCEPTED, REFUSED or UNANSWERED.",
        ),
    ] = None,
    limit: PageSize = 50,
    after: AfterNumber = 0,
    as_json: AsJson = False,
) -> None:
    """List the result of each subscription of a bulk run."""
    from subscription.bulk import BulkOutcome

    only = BulkOutcome(outcome) if outcome else None
    with Session() as session:
        found = session.run_bulk(
            lambda bulk: bulk.results(run_id, outcome=only, after=after, limit=limit + 1)
        )
    results, next_after = found[:limit], found[limit - 1].position if len(found) > limit else None
    from entrypoints.cli.views.bulk import results_view

    show(as_json, {"results": results, "next_after": next_after}, lambda: results_view(results, next_after))


@app.command()
def pause(run_id: RunId, as_json: AsJson = False) -> None:
    """Pause a bulk run. Commands in flight are finished."""
    with Session() as session:
        run = session.run_bulk(lambda bulk: bulk.pause(run_id))
    _show(as_json, run)


@app.command()
def resume(run_id: RunId, as_json: AsJson = False) -> None:
    """Resume a paused bulk run, or one whose workflow was terminated."""
    with Session() as session:
        run = session.run_bulk(lambda bulk: bulk.resume(run_id))
    _show(as_json, run)


@app.command()
def stop(run_id: RunId, as_json: AsJson = False) -> None:
    """Stop a bulk run for ever: the remaining subscriptions get no command."""
    with Session() as session:
        run = session.run_bulk(lambda bulk: bulk.stop(run_id))
    _show(as_json, run)


def _show(as_json: bool, run: "BulkRun") -> None:
    from entrypoints.cli.views.bulk import run_view

    show(as_json, run, lambda: run_view(run))
