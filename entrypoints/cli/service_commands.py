"""Commands that run the service: demo, dev, worker, api, setup, doctor."""

import os
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.cli import event_loop
from entrypoints.cli.connections import DEV_DIRECTORY, PROFILE_FILE, ServiceTargets
from entrypoints.cli.dev_stack_errors import convert_stack_errors
from entrypoints.cli.errors import CommandError, ExitCode, unavailable, usage_error
from entrypoints.cli.options import AsJson
from entrypoints.cli.output import console, print_status, show, show_json
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dev_stack.addresses import StackAddresses
    from dev_stack.service_processes import ServiceAddresses
    from entrypoints.cli.doctor import CheckResult
    from subscription.catalogue import Catalogue

app = typer.Typer()
_PANEL = "Run the service"
_MOST_PROCESSES = 8

Workers = Annotated[
    int,
    typer.Option("--workers", metavar="N", min=1, max=_MOST_PROCESSES, help="Number of workers."),
]
Apis = Annotated[
    int,
    typer.Option(
        "--apis",
        metavar="N",
        min=1,
        max=_MOST_PROCESSES,
        help="Number of API processes, behind a load balancer.",
    ),
]


@app.command(rich_help_panel="Getting started")
def demo(as_json: AsJson = False) -> None:
    """Run a subscription from request to erasure on temporary servers, in less than a minute."""
    catalogue = catalogue_from_environment()
    with convert_stack_errors():
        from entrypoints.cli.demo import run_demo

        event_loop.disable_sdk_logging()
        summary = event_loop.run(run_demo(console(stderr=as_json), catalogue))
    if as_json:
        show_json(summary)
    if not summary.nothing_is_left:
        message = "Customer data was found after the erasure."
        raise CommandError(ExitCode.INTERNAL_ERROR, "DATA_LEFT", message)


@app.command(rich_help_panel="Getting started")
def dev(workers: Workers = 1, apis: Apis = 1, as_json: AsJson = False) -> None:
    """Run Temporal with its Web UI, PostgreSQL, the worker and the API until Ctrl-C. Data is kept."""
    from adapters.postgres.catalogue_repository import PublishingError
    from adapters.postgres.pool import DatabaseError

    catalogue = catalogue_from_environment()

    with convert_stack_errors():
        from dev_stack.child_server import DirectoryLock
        from entrypoints.cli.dev import run_dev

        if owner := DirectoryLock.holder(DEV_DIRECTORY):
            raise usage_error(
                f"`worksub dev` already runs in this directory, as process {owner}.",
                advice="The other commands use it automatically: try `worksub doctor`.",
            )
        event_loop.disable_sdk_logging()
        on_ready = _show_addresses if as_json else _show_instructions
        try:
            running = run_dev(
                DEV_DIRECTORY, catalogue, workers=workers, apis=apis, report=print_status, on_ready=on_ready
            )
            event_loop.run(running)
        except (PublishingError, DatabaseError) as error:
            advice = f"To start with an empty service, delete {DEV_DIRECTORY}."
            raise usage_error(str(error), advice=advice) from None


def _show_addresses(addresses: "StackAddresses", services: "ServiceAddresses") -> None:
    show_json(
        {
            **asdict(addresses),
            "workers": [
                {"health_url": worker.health_url, "metrics_url": worker.metrics_url}
                for worker in services.workers
            ],
            "api_url": services.api_url,
            "console_url": services.console_url,
        }
    )


def _show_instructions(addresses: "StackAddresses", services: "ServiceAddresses") -> None:
    from entrypoints.cli.dev import DNS_RECORDS
    from entrypoints.cli.dev_environment import ENVIRONMENT_FILE

    workers = "\n".join(
        f"  Worker health       {worker.health_url}\n  Worker metrics      {worker.metrics_url}"
        for worker in services.workers
    )
    print(
        f"""
Ready; stop with Ctrl-C.

  Temporal's Web UI   {addresses.ui_url}
  Temporal            {addresses.temporal_address}
  PostgreSQL          {addresses.reader_url}
{workers}
  The API             {services.api_url}/docs
  The console         {services.console_url}

To begin, in another terminal:

{_activation()}  . {shlex.quote(os.path.relpath(DEV_DIRECTORY / ENVIRONMENT_FILE))}
  worksub request examples/request.yaml
  worksub list

{DEV_DIRECTORY / ENVIRONMENT_FILE} sets the addresses of these servers for `worksub`, `temporal` and others;
{DEV_DIRECTORY / PROFILE_FILE} is a Temporal profile with the same addresses. Without these files,
`worksub` finds the servers in this directory, but `temporal` does not.

To verify a domain, add a line to {DEV_DIRECTORY / DNS_RECORDS}, as shown by
`worksub verify-domain ID`.
""",
        flush=True,
    )


def _activation() -> str:
    """Return the line that activates the virtual environment in another terminal, or an empty string."""
    if sys.prefix == sys.base_prefix:
        return ""
    return f"  . {shlex.quote(os.path.relpath(Path(sys.prefix) / 'bin' / 'activate'))}\n"


@app.command(rich_help_panel=_PANEL)
def worker(as_json: AsJson = False) -> None:
    """Run the worker until Ctrl-C or SIGTERM. Equivalent to `python worker.py`."""
    from adapters.worker_settings import WorkerSettings
    from entrypoints.settings import start_settings
    from worker import serve

    event_loop.run(serve(start_settings(WorkerSettings, as_json=as_json)))


@app.command(rich_help_panel=_PANEL)
def api(as_json: AsJson = False) -> None:
    """Run the HTTP API until Ctrl-C or SIGTERM. `worksub keys` manages its API keys."""
    from adapters.postgres.pool import CONNECT_ERRORS
    from entrypoints.settings import start_settings

    try:
        from entrypoints.api.server import serve
        from entrypoints.api.settings import ApiSettings
    except ImportError as error:
        raise CommandError(
            ExitCode.UNAVAILABLE,
            "API_NOT_INSTALLED",
            f"The HTTP API is not installed ({error.name} is missing).",
            advice="pip install 'worksub[api]'",
        ) from None
    try:
        event_loop.run(serve(start_settings(ApiSettings, as_json=as_json)))
    except CONNECT_ERRORS as error:
        reason = str(error) or type(error).__name__
        raise unavailable(
            "DATABASE_UNREACHABLE",
            f"PostgreSQL does not answer: {reason}.",
            advice="Start it, or check DATABASE_URL.",
        ) from None


@app.command(rich_help_panel=_PANEL)
def setup(as_json: AsJson = False) -> None:
    """Prepare the database and the namespace, and publish the catalogue. Repeating it has no effect."""
    from starter.setup import set_up

    catalogue = catalogue_from_environment()
    with Session() as session:
        report = session.run_services(
            lambda services: set_up(services.temporal, services.owner_url, catalogue)
        )

    def render() -> str:
        lines = [f"Applied migration {name}." for name in report.migrations]
        lines += [f"Published catalogue version {report.published}."] if report.published else []
        lines += [f"Registered search attribute {name}." for name in report.search_attributes]
        lines += [f"Applied the schedule of {name}." for name in report.schedules]
        return "\n".join(lines or ["Nothing to do: everything was already set up."])

    show(as_json, report, render)


@app.command(rich_help_panel=_PANEL)
def doctor(as_json: AsJson = False) -> None:
    """Check everything that the service needs; each line has the result or the action to take."""
    from entrypoints.cli.doctor import CheckStatus

    with Session() as session:
        findings = session.run_services(_run_checks)
    show(as_json, {"findings": findings}, lambda: _findings_view(findings))
    verdicts = {finding.verdict for finding in findings}
    if CheckStatus.UNREACHABLE in verdicts:
        raise typer.Exit(ExitCode.UNAVAILABLE)
    if verdicts & {CheckStatus.MISSING, CheckStatus.WRONG}:
        raise typer.Exit(ExitCode.REFUSED)


async def _run_checks(services: ServiceTargets) -> "list[CheckResult]":
    from entrypoints.cli.doctor import check_database, check_settings, check_temporal

    findings = [*check_settings(os.environ)]
    findings += [finding async for finding in check_temporal(services.temporal)]
    database = check_database(services.database_url, services.database_address)
    return findings + [finding async for finding in database]


def _findings_view(findings: "list[CheckResult]") -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    from entrypoints.cli.doctor import CheckStatus

    marks = {
        CheckStatus.OK: Text("ok", style="green"),
        CheckStatus.NOTE: Text("note", style="cyan"),
        CheckStatus.MISSING: Text("missing", style="yellow"),
        CheckStatus.WRONG: Text("wrong", style="yellow"),
        CheckStatus.UNREACHABLE: Text("unreachable", style="red"),
    }
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for finding in findings:
        table.add_row(marks[finding.verdict], finding.what, finding.text)
    return table


def catalogue_from_environment() -> "Catalogue":
    """Return the catalogue of WORKSUB_CATALOGUE, or the default catalogue; raises `SettingsError`."""
    from adapters.settings import CatalogueSettings

    return CatalogueSettings.load(os.environ).catalogue
