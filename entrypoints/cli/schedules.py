"""`worksub schedules`: manage the scheduled jobs."""

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from entrypoints.cli.errors import CommandError, ExitCode
from entrypoints.cli.options import AsJson, Timeout
from entrypoints.cli.output import print_status, show
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rich.console import RenderableType
    from temporalio.client import Client

    from entrypoints.cli.connections import ServiceTargets
    from starter.schedules import Job

app = typer.Typer(help="Manage scheduled jobs.", no_args_is_help=True)
PANEL = "Run the service"

JOB_SECONDS = 600.0

T = TypeVar("T")


def _job(name: str) -> "Job":
    from starter.schedules import JOBS

    for job in JOBS:
        if job.name == name:
            return job
    names = ", ".join(job.name for job in JOBS)
    raise typer.BadParameter(f"{name!r} is not one of {names}.")


# The type is Any: Typer evaluates annotations at every start, and importing the module of `Job` is slow.
JobName = Annotated[
    Any,
    typer.Argument(
        parser=_job, metavar="NAME", help="Name of the job, as shown by `list`.", show_default=False
    ),
]


@app.command()
def apply(as_json: AsJson = False) -> None:
    """Create or update the schedules of this release in the namespace. Repeating it has no effect."""
    from starter.schedules import apply_schedules

    with Session() as session:
        applied = session.run_services(lambda services: apply_schedules(services.temporal))
    show(as_json, applied, lambda: "\n".join(f"{name}: {what.lower()}" for name, what in applied.items()))


@app.command("list")
def list_jobs(as_json: AsJson = False) -> None:
    """Show the times and the last result of each job."""
    from starter.schedules import list_schedules

    with Session() as session:
        schedules = session.run_services(lambda services: list_schedules(services.temporal))

    def render() -> "RenderableType":
        from entrypoints.cli.views.schedules import schedules_table

        return schedules_table(schedules)

    show(as_json, schedules, render)


@app.command()
def trigger(
    job: JobName,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the result.")] = True,
    timeout: Timeout = JOB_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Run a job now, in addition to its schedule."""
    from starter.schedules import result_of, trigger

    with Session(timeout=timeout) as session:
        handle = session.run_services(convert_job_errors(lambda client: trigger(client, job)))
        print_status(f"{job.name} has started as workflow {handle.id}.")
        if not wait:
            show(as_json, {"workflow_id": handle.id, "report": None}, lambda: "")
            return
        report = session.run_services(convert_job_errors(lambda client: result_of(handle)))
    show(as_json, {"workflow_id": handle.id, "report": report}, lambda: str(report["summary"]))


@app.command()
def pause(
    job: JobName,
    note: Annotated[
        str, typer.Option("--note", metavar="TEXT", help="Reason, shown by `list`.")
    ] = "paused by hand",
    as_json: AsJson = False,
) -> None:
    """Pause the schedule of a job. `trigger` still runs it."""
    from starter.schedules import pause

    with Session() as session:
        session.run_services(convert_job_errors(lambda client: pause(client, job, note)))
    show(as_json, {"name": job.name, "paused": True}, lambda: f"{job.name} is paused: {note}.")


@app.command()
def resume(job: JobName, as_json: AsJson = False) -> None:
    """Resume the schedule of a paused job."""
    from starter.schedules import resume

    with Session() as session:
        session.run_services(convert_job_errors(lambda client: resume(client, job)))
    show(as_json, {"name": job.name, "paused": False}, lambda: f"{job.name} runs {job.times} again.")


def convert_job_errors(
    task: "Callable[[Client], Awaitable[T]]",
) -> "Callable[[ServiceTargets], Awaitable[T]]":
    async def run(services: "ServiceTargets") -> T:
        from starter.schedules import JobFailedError, JobRunningError, NotAppliedError

        try:
            return await task(services.temporal)
        except NotAppliedError as error:
            advice = "To create it, run `worksub schedules apply`."
            raise CommandError(ExitCode.REFUSED, "SCHEDULE_NOT_APPLIED", str(error), advice=advice) from None
        except JobRunningError as error:
            advice = "Wait for its end, or terminate it in Temporal's Web UI."
            raise CommandError(ExitCode.REFUSED, "JOB_RUNNING", str(error), advice=advice) from None
        except JobFailedError as error:
            advice = "See the run in Temporal's Web UI. Completed work is kept."
            raise CommandError(ExitCode.REFUSED, "JOB_FAILED", str(error), advice=advice) from None

    return run
