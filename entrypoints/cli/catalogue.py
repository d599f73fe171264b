"""`worksub catalogue`: the catalogue on sale, and the preview and publication of a new version."""

import contextlib
import csv
import time
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from entrypoints.cli.errors import usage_error
from entrypoints.cli.options import DEFAULT_TIMEOUT, AsJson, Timeout
from entrypoints.cli.output import print_status, show, show_json
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from rich.console import RenderableType

    from starter.queries import SubscriptionQueries
    from subscription.catalogue import Catalogue
    from subscription.catalogue_preview import SubscriptionEffect

app = typer.Typer(help="Show, check, preview and publish the catalogue.", no_args_is_help=True)
PANEL = "Run the service"

_STANDARD_OUTPUT = Path("-")
_PROGRESS_SECONDS = 5.0
_COLUMNS = (
    "subscription_id",
    "customer_id",
    "state",
    "plan",
    "members",
    "changes_on",
    "monthly_before",
    "monthly_after",
    "before",
    "after",
    "difference",
    "withdrawn_plans",
    "notices",
)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a date. Use the format 2027-01-31.") from None


CatalogueFile = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="Catalogue file; - is standard input.", show_default=False),
]


@app.command("show")
def show_catalogue(
    language: Annotated[
        str, typer.Option("--lang", metavar="ko|en", help="Language of functions and titles.")
    ] = "en",
    as_json: AsJson = False,
) -> None:
    """Show the catalogue on sale today, with the functions of the plans and the terms of service."""
    from adapters.translation import Language
    from subscription.refusals import RefusalCode, refusal

    if language not in tuple(Language):
        raise usage_error(f"{language!r} is not ko or en.", field="language")

    async def query(queries: "SubscriptionQueries") -> "Catalogue":
        if (catalogue := await queries.catalogue()) is None:
            raise refusal(RefusalCode.NOTHING_ON_SALE)
        return catalogue

    with Session() as session:
        catalogue = session.run_query(query)

    def render() -> "RenderableType":
        from entrypoints.cli.views.catalogue import catalogue_view

        return catalogue_view(catalogue, Language(language))

    show(as_json, catalogue, render)


@app.command()
def check(file: CatalogueFile, as_json: AsJson = False) -> None:
    """Check a catalogue file, without any service."""
    catalogue = _read(file)
    result = {
        "version": catalogue.version,
        "effective_from": f"{catalogue.effective_from}",
        "announced_on": f"{catalogue.announcement_day}",
    }
    show(
        as_json,
        result,
        lambda: (
            f"The catalogue is valid: version {catalogue.version}, announced on "
            f"{catalogue.announcement_day}, in force from {catalogue.effective_from}."
        ),
    )


@app.command()
def preview(
    file: CatalogueFile,
    as_of: Annotated[
        date | None,
        typer.Option(
            "--as-of",
            parser=_day,
            metavar="DATE",
            help="Assumed day of the publication, from which 13 months are previewed; default: today.",
        ),
    ] = None,
    csv_file: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Write a row for each affected subscription; - is standard output.",
        ),
    ] = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Show what a new catalogue version changes for each subscription, before it is published.

    With --json, print one document for each affected subscription, and the summary last.
    """
    if as_json and csv_file == _STANDARD_OUTPUT:
        raise usage_error("--json and --csv - cannot both write to standard output.", field="csv")
    newer = _read(file)
    from starter.catalogue_previews import begin_preview, preview_page

    with Session(timeout=timeout) as session, _rows(csv_file) as write_row:
        begun = session.run_query(lambda queries: begin_preview(queries, newer, as_of))
        total = session.run_query(lambda queries: queries.count_commandable())
        progress = _Progress(total)
        after: str | None = ""
        while after is not None:
            page = session.run_query(partial(preview_page, preview=begun, after=after))
            for effect in page.effects:
                write_row(effect)
                if as_json:
                    show_json(effect)
            progress.add(page.subscriptions)
            after = page.next_after
    summary = begun.summary()
    if csv_file == _STANDARD_OUTPUT:
        print_status(f"Preview {summary.preview} of version {summary.version}.")
        return

    def render() -> "RenderableType":
        from entrypoints.cli.views.catalogue import preview_view

        return preview_view(summary, str(file))

    show(as_json, summary, render)


class _Progress:
    """Progress lines on standard error, while a preview takes long."""

    def __init__(self, total: int) -> None:
        self._done, self._total, self._reported_at = 0, total, time.monotonic()

    def add(self, number: int) -> None:
        self._done += number
        now = time.monotonic()
        if now - self._reported_at > _PROGRESS_SECONDS:
            self._reported_at = now
            print_status(f"{self._done:,} of {max(self._done, self._total):,} subscriptions previewed…")


@app.command()
def publish(
    file: CatalogueFile,
    preview: Annotated[
        str,
        typer.Option("--preview", metavar="HASH", help="Hash that `catalogue preview` has shown."),
    ],
    as_json: AsJson = False,
) -> None:
    """Publish a catalogue version exactly as previewed. Repeating it has no effect."""
    newer = _read(file)
    from starter.catalogue_previews import publish_previewed

    with Session() as session:
        published = session.run_services(
            lambda services: publish_previewed(services.owner_url, newer, preview)
        )
    show(
        as_json,
        {"version": newer.version, "published": published},
        lambda: (
            f"Published catalogue version {newer.version}."
            if published
            else f"Catalogue version {newer.version} was already published."
        ),
    )


def _read(file: Path) -> "Catalogue":
    """Return the catalogue of the file; raise `CommandError` with every invalid line."""
    from adapters.settings import read_catalogue
    from adapters.settings_error import SettingsError

    try:
        return read_catalogue(file)
    except SettingsError as error:
        raise usage_error(str(error), field="file", advice="For the format, see catalogue.toml.") from None


@contextlib.contextmanager
def _rows(file: Path | None) -> "Iterator[Callable[[SubscriptionEffect], object]]":
    """Yield a function that writes the row of an effect; without a file, it does nothing."""
    if file is None:
        yield lambda effect: None
        return
    with _output(file) as output:
        writer = csv.writer(output)
        writer.writerow(_COLUMNS)
        yield lambda effect: writer.writerow(_row(effect))


@contextlib.contextmanager
def _output(file: Path) -> Iterator[IO[str]]:
    import sys

    if file == _STANDARD_OUTPUT:
        yield sys.stdout
        return
    try:
        output = file.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise usage_error(f"{file} cannot be written: {error.strerror}.", field="csv") from None
    with output:
        yield output


def _row(effect: "SubscriptionEffect") -> tuple[object, ...]:
    change = effect.change
    return (
        effect.subscription_id,
        effect.customer_id,
        effect.state,
        effect.plan,
        effect.members,
        change and change.date,
        change and change.monthly_before,
        change and change.monthly_after,
        effect.before,
        effect.after,
        effect.difference,
        " ".join(effect.withdrawn_plans),
        " ".join(f"{notice.due_on}" for notice in effect.notices),
    )
