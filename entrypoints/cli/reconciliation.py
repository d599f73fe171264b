"""`worksub reconcile` and `worksub findings`: run the nightly reconciliation, and show its report."""

from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.cli.options import AsJson, Timeout
from entrypoints.cli.output import print_status, show
from entrypoints.cli.schedules import JOB_SECONDS, convert_job_errors
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from starter.queries import SubscriptionQueries
    from subscription.reconciliation import Reconciliation, ReportedFinding

app = typer.Typer()
_PANEL = "Run the service"


@app.command("reconcile", rich_help_panel=_PANEL)
def reconcile(
    query_all: Annotated[
        bool, typer.Option("--all", help="Query every workflow, instead of this night's part.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the result.")] = True,
    timeout: Timeout = JOB_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Compare Temporal with the database now, as every night."""
    from starter.schedules import result_of, start_reconciliation

    with Session(timeout=timeout) as session:
        handle = session.run_services(
            convert_job_errors(lambda client: start_reconciliation(client, query_all=query_all))
        )
        print_status(f"reconcile has started as workflow {handle.id}.")
        if not wait:
            show(as_json, {"workflow_id": handle.id, "report": None}, lambda: "")
            return
        report = session.run_services(convert_job_errors(lambda client: result_of(handle)))
    show(as_json, {"workflow_id": handle.id, "report": report}, lambda: str(report["summary"]))


@app.command("findings", rich_help_panel=_PANEL)
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
    queried = f"{reconciliation.queried:,} workflows queried"
    parts: list[RenderableType] = [
        Text(summary),
        Text(f"Run {reconciliation.run}, {period}; {queried}.", style="dim"),
    ]
    if listed:
        parts.append(findings_table(listed))
    if more := reconciliation.found - len(listed):
        parts.append(Text(f"There are {more:,} more: add --limit {reconciliation.found}"))
    return Group(*parts)
