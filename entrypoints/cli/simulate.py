"""`worksub simulate`: run scenarios."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from entrypoints.cli import event_loop
from entrypoints.cli.dev_stack_errors import convert_stack_errors
from entrypoints.cli.errors import CommandError, ExitCode, check_standard_input, unavailable, usage_error
from entrypoints.cli.options import AsJson
from entrypoints.cli.output import console, print_status, show_json

if TYPE_CHECKING:
    from subscription.catalogue import PriceBook
    from subscription.scenario import Scenario, ScenarioResult

app = typer.Typer()


@app.command(rich_help_panel="Testing")
def simulate(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="YAML files with scenarios, separated by ---; - is standard input.",
        ),
    ],
    engine: Annotated[
        Literal["rules", "temporal"],
        typer.Option("--engine", help="The domain rules only, or the real workflow on temporary servers."),
    ] = "rules",
    catalogue: Annotated[
        list[Path] | None,
        typer.Option(
            "--catalogue",
            metavar="FILE",
            help="Catalogue version; may be repeated, in any order. Default: catalogue.toml. "
            "- is standard input.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run scenarios and show their results; with --json one document per line, in the order of the files."""
    versions = catalogue or []
    check_standard_input(
        {
            **{f"FILE {number}": _is_standard_input(file) for number, file in enumerate(files, start=1)},
            **{_catalogue_option(number): _is_standard_input(file) for number, file in enumerate(versions)},
        }
    )
    book = _price_book(versions)
    scenarios = _scenarios(files)
    documents = _by_rules(scenarios, book) if engine == "rules" else _on_temporal(scenarios, book)
    if as_json:
        for document in documents:
            show_json(document.to_json())
        return
    from entrypoints.cli.views.simulate import scenario_view

    output = console()
    for document in documents:
        output.print(scenario_view(document))


def _catalogue_option(number: int) -> str:
    return f"--catalogue ({number + 1})" if number else "--catalogue"


def _is_standard_input(file: Path | None) -> bool:
    from adapters.files import STANDARD_INPUT

    return file == STANDARD_INPUT


def _price_book(files: Sequence[Path]) -> "PriceBook":
    """Return the price book of these versions; raise `CommandError` if they cannot be published together."""
    from adapters.settings import DEFAULT_CATALOGUE, read_catalogue
    from adapters.settings_error import SettingsError
    from subscription.catalogue import PriceBook

    try:
        versions = [read_catalogue(file) for file in files or [DEFAULT_CATALOGUE]]
    except SettingsError as error:
        raise usage_error(
            str(error), field="catalogue", advice="For the format, see catalogue.toml."
        ) from None
    book = PriceBook(versions=())
    for version in sorted(versions, key=lambda version: (version.effective_from, version.announcement_day)):
        if refusal := book.refusal_of(version, today=version.announcement_day):
            raise usage_error(
                f"Version {version.version} conflicts with the versions before it: {refusal.message}",
                field="catalogue",
                advice="A version needs its own `version` and `effective_from`.",
            )
        book = book.with_versions([version])
    return book


def _scenarios(files: Sequence[Path]) -> "list[Scenario]":
    """Return the scenarios of all files; raise `CommandError` with the problems of all files."""
    scenarios: list[Scenario] = []
    problems: list[dict[str, Any]] = []
    for file in files:
        file_scenarios, file_problems = _read(file)
        scenarios += file_scenarios
        problems += file_problems
    if problems:
        raise CommandError(
            ExitCode.USAGE,
            "INVALID_SCENARIO",
            "no scenario was run, because of these problems:",
            problems=problems,
        )
    return scenarios


def _read(file: Path) -> "tuple[list[Scenario], list[dict[str, Any]]]":
    """Return the scenarios of a file, and its problems with line and field."""
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
        print_status(f"{next(done)} of {len(scenarios)} simulated: {document.name}")

    with convert_stack_errors():
        from dev_stack.scenario_runner import ClockOverrunError, simulate_on_temporal

        event_loop.disable_sdk_logging()
        try:
            return event_loop.run(
                simulate_on_temporal(scenarios, book, on_progress=print_status, on_done=on_done)
            )
        except ExceptionGroup as group:  # the first failure cancels the other scenarios
            failure = group.exceptions[0]
            if not isinstance(failure, ClockOverrunError):
                raise failure from None
            advice = "The machine is overloaded. Simulate fewer scenarios at once."
            raise unavailable("CLOCK_SLIPPED", str(failure), advice=advice) from None
