"""`worksub findings`: report of the nightly reconciliation."""

from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.cli.options import AsJson
from entrypoints.cli.output import show
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from starter.queries import SubscriptionQueries
    from subscription.reconciliation import Reconciliation, ReportedFinding

app = typer.Typer()


@app.command("findings", rich_help_panel="Run the service")
def findings(
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help="Run of the job `reconcile`; default: the newest."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=10_000, help="Maximum number of findings.")
    ] = 100,
    as_json: AsJson = False,
) -> None:
    """Show reconciliation findings: open first, then repaired."""

    async def load(queries: "SubscriptionQueries") -> "tuple[Reconciliation, list[ReportedFinding]]":
        reconciliation = await queries.reconciliation(run)
        return reconciliation, await queries.findings(reconciliation.run, limit=limit)

    with Session() as session:
        reconciliation, listed = session.run_query(load)
    show(
        as_json,
        {"reconciliation": reconciliation, "findings": listed},
        lambda: _view(reconciliation, listed),
    )


def _view(reconciliation: "Reconciliation", listed: "list[ReportedFinding]") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from entrypoints.cli.views.formatting import format_time
    from entrypoints.cli.views.reconciliation import findings_table

    started, finished = format_time(reconciliation.started_at), format_time(reconciliation.finished_at)
    if reconciliation.finished_at:
        summary, period = reconciliation.summary, f"{started} to {finished}"
    else:
        summary, period = f"{reconciliation.found:,} findings so far.", f"running since {started}"
    parts: list[RenderableType] = [Text(summary), Text(f"Run {reconciliation.run}, {period}.", style="dim")]
    if listed:
        parts.append(findings_table(listed))
    if more := reconciliation.found - len(listed):
        parts.append(Text(f"There are {more:,} more: add --limit {reconciliation.found}"))
    return Group(*parts)
