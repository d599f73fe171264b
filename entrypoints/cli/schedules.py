"""`worksub schedules`."""

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from entrypoints.cli.errors import CommandError, ExitCode
from entrypoints.cli.options import AsJson, Timeout
from entrypoints.cli.output import print_status, show
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from temporalio.client import Client

    from entrypoints.cli.connections import ServiceTargets
    from starter.schedules import Job

app = typer.Typer(help="What happens by itself, every night and every month.", no_args_is_help=True)
PANEL = "Run the service"

_JOB_SECONDS = 600.0

T = TypeVar("T")


def _job(name: str) -> "Job":
    from starter.schedules import JOBS

    for job in JOBS:
        if job.name == name:
            return job
    names = ", ".join(job.name for job in JOBS)
    raise typer.BadParameter(f"{name!r} is not one of {names}.")


# Of no named type: Typer looks it up at every start, and the module of jobs is slow to import.
JobName = Annotated[
    Any, typer.Argument(parser=_job, metavar="NAME", help="As `list` shows it.", show_default=False)
]


@app.command()
def apply(as_json: AsJson = False) -> None:
    """Make the namespace's schedules what this release declares. Again, it changes nothing."""
    from starter.schedules import apply_schedules

    with Session() as session:
        applied = session.work(lambda services: apply_schedules(services.temporal))
    show(as_json, applied, lambda: "\n".join(f"{name}: {what.lower()}" for name, what in applied.items()))


@app.command("list")
def list_jobs(as_json: AsJson = False) -> None:
    """Show when each job runs, and what its last run said."""
    from entrypoints.cli.views.tables import schedules_table
    from starter.schedules import list_schedules

    with Session() as session:
        found = session.work(lambda services: list_schedules(services.temporal))
    show(as_json, found, lambda: schedules_table(found))


@app.command()
def trigger(
    job: JobName,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for what it says when it is done.")
    ] = True,
    timeout: Timeout = _JOB_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Run a job now, beside its own times."""
    from starter.schedules import result_of, trigger

    with Session(timeout=timeout) as session:
        handle = session.work(_when_applied(lambda client: trigger(client, job)))
        print_status(f"{job.name} has begun, as workflow {handle.id}.")
        if not wait:
            show(as_json, {"workflow_id": handle.id, "report": None}, lambda: "")
            return
        report = session.work(_when_applied(lambda client: result_of(handle)))
    show(as_json, {"workflow_id": handle.id, "report": report}, lambda: str(report["summary"]))


@app.command()
def pause(
    job: JobName,
    note: Annotated[
        str, typer.Option("--note", metavar="TEXT", help="Why; shown by `list`.")
    ] = "paused by hand",
    as_json: AsJson = False,
) -> None:
    """Let a job not run by itself until it is resumed. `trigger` still runs it."""
    from starter.schedules import pause

    with Session() as session:
        session.work(_when_applied(lambda client: pause(client, job, note)))
    show(as_json, {"name": job.name, "paused": True}, lambda: f"{job.name} is paused: {note}.")


@app.command()
def resume(job: JobName, as_json: AsJson = False) -> None:
    """Let a paused job run again at its times."""
    from starter.schedules import resume

    with Session() as session:
        session.work(_when_applied(lambda client: resume(client, job)))
    show(as_json, {"name": job.name, "paused": False}, lambda: f"{job.name} runs {job.times} again.")


def _when_applied(task: "Callable[[Client], Awaitable[T]]") -> "Callable[[ServiceTargets], Awaitable[T]]":
    async def done(services: "ServiceTargets") -> T:
        from starter.schedules import JobFailedError, NotAppliedError

        try:
            return await task(services.temporal)
        except NotAppliedError as error:
            advice = "`worksub schedules apply` makes it."
            raise CommandError(ExitCode.REFUSED, "SCHEDULE_NOT_APPLIED", str(error), advice=advice) from None
        except JobFailedError as error:
            advice = "Temporal's Web UI shows the run; what it has done so far stays done."
            raise CommandError(ExitCode.REFUSED, "JOB_FAILED", str(error), advice=advice) from None

    return done
