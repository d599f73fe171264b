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
        typer.Option("--run", metavar="RUN", help="Of this run of the job `reconcile`; else the newest."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="So many at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show what reconciling has found: first what is left to somebody, then what was repaired."""

    async def read(record: "SubscriptionQueries") -> "tuple[Reconciliation, list[ReportedFinding]]":
        reconciliation = await record.reconciliation(run)
        return reconciliation, await record.findings(reconciliation.run, limit=limit)

    with Session() as session:
        reconciliation, found = session.read(read)
    show(
        as_json,
        {"reconciliation": reconciliation, "findings": found},
        lambda: _view(reconciliation, found),
    )


def _view(reconciliation: "Reconciliation", found: "list[ReportedFinding]") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from entrypoints.cli.views.tables import findings_table, moment

    begun, ended = moment(reconciliation.started_at), moment(reconciliation.finished_at)
    if reconciliation.finished_at:
        said, when = reconciliation.summary, f"{begun} to {ended}"
    else:
        said, when = f"{reconciliation.found:,} findings so far.", f"under way since {begun}"
    parts: list[RenderableType] = [Text(said), Text(f"Run {reconciliation.run}, {when}.", style="dim")]
    if found:
        parts.append(findings_table(found))
    if more := reconciliation.found - len(found):
        parts.append(Text(f"There are {more:,} more: add --limit {reconciliation.found}"))
    return Group(*parts)
