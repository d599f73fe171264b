"""`worksub simulate`."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from entrypoints.cli import event_loop
from entrypoints.cli.dev_stack_errors import embedded_errors_reported
from entrypoints.cli.errors import CommandError, ExitCode, check_standard_input, unavailable, usage_error
from entrypoints.cli.options import AsJson
from entrypoints.cli.output import console, print_status, show_json

if TYPE_CHECKING:
    from subscription.catalogue import PriceBook
    from subscription.scenario import Scenario, ScenarioResult

app = typer.Typer()


@app.command(rich_help_panel="Try things out")
def simulate(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Scenarios in YAML; --- separates several in a file, and - is standard input.",
        ),
    ],
    engine: Annotated[
        Literal["rules", "temporal"],
        typer.Option("--engine", help="The rules alone, or the real workflow on real servers."),
    ] = "rules",
    catalogue: Annotated[
        Path | None,
        typer.Option(
            "--catalogue",
            metavar="FILE",
            help="What is sold; catalogue.toml if not given. - is standard input.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Play scenarios and show what they come to; with --json one document a line, in the files' order."""
    check_standard_input(
        {
            **{f"FILE {number}": _is_standard_input(file) for number, file in enumerate(files, start=1)},
            "--catalogue": _is_standard_input(catalogue),
        }
    )
    book = _price_book(catalogue)
    scenarios = _scenarios(files)
    documents = _by_rules(scenarios, book) if engine == "rules" else _on_temporal(scenarios, book)
    if as_json:
        for document in documents:
            show_json(document.to_json())
        return
    from entrypoints.cli.views.tables import simulated_view

    output = console()
    for document in documents:
        output.print(simulated_view(document))


def _is_standard_input(file: Path | None) -> bool:
    from adapters.files import STANDARD_INPUT

    return file == STANDARD_INPUT


def _price_book(catalogue: Path | None) -> "PriceBook":
    from adapters.settings import DEFAULT_CATALOGUE, SettingsError, read_catalogue
    from subscription.catalogue import PriceBook

    try:
        return PriceBook(versions=(read_catalogue(catalogue or DEFAULT_CATALOGUE),))
    except SettingsError as error:
        raise usage_error(
            str(error), field="catalogue", advice="catalogue.toml shows how it is written."
        ) from None


def _scenarios(files: Sequence[Path]) -> "list[Scenario]":
    """Every scenario of every file, or all that is wrong in any of them."""
    scenarios: list[Scenario] = []
    problems: list[dict[str, Any]] = []
    for file in files:
        read, wrong = _read(file)
        scenarios += read
        problems += wrong
    if problems:
        raise CommandError(
            ExitCode.USAGE,
            "INVALID_SCENARIO",
            "no scenario has been played, for this is wrong:",
            problems=problems,
        )
    return scenarios


def _read(file: Path) -> "tuple[list[Scenario], list[dict[str, Any]]]":
    """The scenarios of a file, and what is wrong in it: the line, the field, the problem."""
    from entrypoints.cli.yaml_documents import DocumentError, read_documents
    from subscription.scenario import ScenarioError, read_scenario

    scenarios, problems = [], []
    try:
        for document in read_documents(file):
            try:
                scenarios.append(read_scenario(document.fields))
            except ScenarioError as error:
                problems += [
                    {"file": str(file), "line": document.line_of(problem.field)}
                    | problem.model_dump(mode="json")
                    for problem in error.problems
                ]
    except DocumentError as error:
        problems.append(
            {
                "file": error.source,
                "line": error.line,
                "field": None,
                "code": "INVALID_FILE",
                "message": error.problem,
            }
        )
    return scenarios, problems


def _by_rules(scenarios: "Sequence[Scenario]", book: "PriceBook") -> "list[ScenarioResult]":
    from dev_stack.scenario_runner import simulate_by_rules

    return simulate_by_rules(scenarios, book)


def _on_temporal(scenarios: "Sequence[Scenario]", book: "PriceBook") -> "list[ScenarioResult]":
    done = itertools.count(1)

    def on_done(document: "ScenarioResult") -> None:
        print_status(f"{next(done)} of {len(scenarios)} lived: {document.name}")

    with embedded_errors_reported():
        from dev_stack.scenario_runner import ClockOverrunError, simulate_on_temporal

        event_loop.disable_sdk_logging()
        try:
            return event_loop.run(
                simulate_on_temporal(scenarios, book, on_progress=print_status, on_done=on_done)
            )
        except ExceptionGroup as group:  # the other lives were given up with the first that failed
            failure = group.exceptions[0]
            if not isinstance(failure, ClockOverrunError):
                raise failure from None
            advice = "This machine is too busy: simulate fewer scenarios at once."
            raise unavailable("CLOCK_SLIPPED", str(failure), advice=advice) from None
