"""`worksub replay`: replay running workflows on this release."""

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
            help="Workflow runs, as a visibility query.",
            show_default="all running",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Maximum number of runs.")] = None,
    as_json: AsJson = False,
) -> None:
    """Replay running workflows on this release, before its workers are deployed. Nothing is changed."""
    from starter.replay import RUNNING
    from starter.replay import replay as replay_runs

    with Session() as session:
        report = session.run_services(
            lambda services: replay_runs(
                services.temporal,
                query or RUNNING,
                limit=limit,
                on_progress=lambda count: session.reset_timeout(f"{count:,} runs replayed so far…"),
            )
        )
    show(as_json, report, lambda: _view(report))
    if report.failed:
        raise typer.Exit(ExitCode.REFUSED)


def _view(report: "ReplayReport") -> "RenderableType":
    from rich.table import Table

    if not report.failed:
        return f"All {report.replayed:,} runs replay on this release."
    table = Table(
        "Workflow",
        "Run",
        "Failure",
        box=None,
        padding=(0, 2, 0, 0),
        caption=f"{report.replayed:,} runs replay on this release, {len(report.failed):,} do not.",
    )
    for failure in report.failed:
        table.add_row(failure.workflow_id, failure.run_id, failure.reason)
    return table
