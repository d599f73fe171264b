"""`worksub replay`."""

from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.cli.errors import ExitCode
from entrypoints.cli.options import AsJson
from entrypoints.cli.output import show
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from starter.replay import ReplayReport

app = typer.Typer()


@app.command(rich_help_panel="Run the service")
def replay(
    query: Annotated[
        str | None,
        typer.Option(
            "--query",
            metavar="QUERY",
            help="Which runs, in Temporal's query language.",
            show_default="all that run",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="So many runs at most.")] = None,
    as_json: AsJson = False,
) -> None:
    """Replay running workflows on this release, before its workers go on with them. It changes nothing."""
    from starter.replay import RUNNING
    from starter.replay import replay as replay_runs

    with Session() as session:
        replayed = session.work(
            lambda services: replay_runs(
                services.temporal,
                query or RUNNING,
                limit=limit,
                on_progress=lambda count: session.reset_timeout(f"Replayed {count:,} runs so far…"),
            )
        )
    show(as_json, replayed, lambda: _view(replayed))
    if replayed.failed:
        raise typer.Exit(ExitCode.REFUSED)


def _view(replayed: "ReplayReport") -> "RenderableType":
    from rich.table import Table

    if not replayed.failed:
        return f"All {replayed.replayed:,} replay on this release."
    table = Table(
        "Workflow",
        "Run",
        "Why it does not replay",
        box=None,
        padding=(0, 2, 0, 0),
        caption=f"{replayed.replayed:,} replay on this release, {len(replayed.failed):,} do not.",
    )
    for each in replayed.failed:
        table.add_row(each.workflow_id, each.run_id, each.reason)
    return table
