"""`worksub journal`: the journal of a month as CSV or Parquet."""

import contextlib
import csv
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.cli.billing import read_month
from entrypoints.cli.errors import CommandError, ExitCode, usage_error
from entrypoints.cli.options import DEFAULT_TIMEOUT, AsJson, Timeout
from entrypoints.cli.output import show
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from adapters.postgres.pool import Pool
    from subscription.journal import JournalLine

app = typer.Typer()
_PANEL = "Bill customers"

COLUMNS = (
    "date",
    "document",
    "account",
    "debit",
    "credit",
    "currency",
    "subscription_id",
    "customer_id",
)
_FORMATS = ("csv", "parquet")
_ROWS_A_GROUP = 50_000


def _format(text: str) -> str:
    if text not in _FORMATS:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(_FORMATS)}.")
    return text


@app.command(rich_help_panel=_PANEL)
def journal(
    month: Annotated[
        date,
        typer.Option("--month", parser=read_month, metavar="MONTH", help="Month, such as 2027-03."),
    ],
    to: Annotated[
        Path, typer.Option("--to", metavar="FILE", help="File to write; - is standard output.")
    ] = Path("-"),
    file_format: Annotated[
        str, typer.Option("--format", parser=_format, metavar="csv|parquet", help="Format of the file.")
    ] = "csv",
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Write the ledger, the adjustments and the invoices of a month as double-entry lines."""
    if to == Path("-") and (as_json or file_format == "parquet"):
        raise usage_error("Specify a file with --to.", field="to")
    writer = _csv_file if file_format == "csv" else _parquet_file
    totals = {"lines": 0, "debit": 0, "credit": 0}

    with Session(timeout=timeout) as session, writer(to) as write:

        async def copy(reader: "Pool") -> None:
            from starter.journal import journal as lines_of

            async for line in lines_of(reader, month):
                write(line)
                totals["lines"] += 1
                totals["debit"] += line.debit
                totals["credit"] += line.credit
                session.reset_timeout()

        session.run_reader(copy)
    if to != Path("-"):
        show(
            as_json,
            {"month": f"{month:%Y-%m}", **totals, "path": str(to)},
            lambda: f"{totals['lines']:,} lines in {to}: {totals['debit']:,} KRW on each side.",
        )


@contextlib.contextmanager
def _csv_file(file: Path) -> "Iterator[Callable[[JournalLine], None]]":
    import sys

    from adapters.csv_format import guarded_cell

    with contextlib.ExitStack() as stack:
        output: IO[str] = sys.stdout
        if file != Path("-"):
            output = stack.enter_context(_opened(file, "w", encoding="utf-8", newline=""))
        rows = csv.writer(output)
        rows.writerow(COLUMNS)
        yield lambda line: rows.writerow([guarded_cell(value) for value in _values(line)])


@contextlib.contextmanager
def _parquet_file(file: Path) -> "Iterator[Callable[[JournalLine], None]]":
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise CommandError(
            ExitCode.USAGE,
            "PARQUET_NOT_INSTALLED",
            "Parquet needs the package pyarrow, which is not installed.",
            field="format",
            advice="Run `pip install 'worksub[parquet]'`, or use --format csv.",
        ) from None
    types = {"date": pyarrow.date32(), "debit": pyarrow.int64(), "credit": pyarrow.int64()}
    schema = pyarrow.schema([(name, types.get(name, pyarrow.string())) for name in COLUMNS])
    rows: list[dict[str, object]] = []
    with _opened(file, "wb") as output, parquet.ParquetWriter(output, schema) as writer:

        def flush() -> None:
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
            rows.clear()

        def write(line: "JournalLine") -> None:
            rows.append(dict(zip(COLUMNS, _values(line), strict=True)))
            if len(rows) == _ROWS_A_GROUP:
                flush()

        yield write
        flush()


def _values(line: "JournalLine") -> list[object]:
    return [getattr(line, name) for name in COLUMNS]


def _opened(file: Path, mode: str, **options: Any) -> IO[Any]:
    try:
        return file.open(mode, **options)
    except OSError as error:
        raise usage_error(f"{file} cannot be written: {error.strerror}.", field="to") from None
