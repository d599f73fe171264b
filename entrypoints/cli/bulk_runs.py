"""`worksub bulk-runs`: progress, results and control of bulk runs."""

from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.cli.options import AfterNumber, AsJson, PageSize
from entrypoints.cli.output import show
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from subscription.bulk import BulkRun

app = typer.Typer(help="Show, pause, resume and stop bulk runs.", no_args_is_help=True)
PANEL = "Run the service"

RunId = Annotated[
    str, typer.Argument(metavar="RUN", help="ID of the run, as shown by `list`.", show_default=False)
]


def _outcome(text: str) -> str:
    from subscription.bulk import BulkOutcome

    try:
        return BulkOutcome(text.upper())
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(BulkOutcome)}.") from None


@app.command("list")
def list_runs(limit: PageSize = 20, as_json: AsJson = False) -> None:
    """List the bulk runs with their progress, the latest first."""
    with Session() as session:
        runs = session.run_bulk(lambda bulk: bulk.runs(limit=limit))
    from entrypoints.cli.views.bulk import runs_table

    show(as_json, {"runs": runs}, lambda: runs_table(runs) if runs else "There are no bulk runs.")


@app.command("show")
def show_run(run_id: RunId, as_json: AsJson = False) -> None:
    """Show the state and the progress of a bulk run."""
    with Session() as session:
        run = session.run_bulk(lambda bulk: bulk.run(run_id))
    _show(as_json, run)


@app.command("results")
def list_results(
    run_id: RunId,
    outcome: Annotated[
        str | None,
        typer.Option(
            "--outcome", parser=_outcome, metavar="OUTCOME", help="ACCEPTED, REFUSED or UNANSWERED."
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
