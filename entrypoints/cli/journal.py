"""`worksub journal`: the journal of a month as CSV, JSON Lines or Parquet."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.cli.billing import read_month
from entrypoints.cli.errors import CommandError, ExitCode, usage_error
from entrypoints.cli.options import DEFAULT_TIMEOUT, AsJson, Timeout, one_of
from entrypoints.cli.output import show
from entrypoints.cli.output_file import STANDARD_OUTPUT, output_file, write_errors
from entrypoints.cli.session import Session

if TYPE_CHECKING:
    from starter.queries import SubscriptionQueries
    from subscription.journal import JournalLine

app = typer.Typer()
_PANEL = "Bill customers"

_FORMATS = ("csv", "jsonl", "parquet")


def _formats() -> list[str]:
    return list(_FORMATS)


@app.command(rich_help_panel=_PANEL)
def journal(
    month: Annotated[
        date,
        typer.Option("--month", parser=read_month, metavar="MONTH", help="Month, such as 2027-03."),
    ],
    to: Annotated[
        Path, typer.Option("--to", metavar="FILE", help="File to write; - is standard output.")
    ] = STANDARD_OUTPUT,
    file_format: Annotated[
        str,
        typer.Option(
            "--format",
            parser=one_of(_formats),
            autocompletion=_formats,
            metavar="csv|jsonl|parquet",
            help="Format of the file.",
        ),
    ] = "csv",
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Write the ledger, the adjustments and the invoices of a month as double-entry lines."""
    if to == STANDARD_OUTPUT and (as_json or file_format == "parquet"):
        raise usage_error("Specify a file with --to.", field="to")
    if file_format == "parquet":
        _check_parquet()
    totals = {"lines": 0, "debit": 0, "credit": 0}

    async def counted(lines: "AsyncGenerator[JournalLine]") -> "AsyncGenerator[JournalLine]":
        async with aclosing(lines):
            async for line in lines:
                totals["lines"] += 1
                totals["debit"] += line.debit
                totals["credit"] += line.credit
                yield line

    with Session(timeout=timeout) as session, output_file(to, replace=True) as output:

        async def copy(queries: "SubscriptionQueries") -> None:
            from adapters.journal_formats import JournalFormat, journal_pieces

            lines = counted(queries.journal(month))
            async with aclosing(journal_pieces(lines, JournalFormat(file_format))) as pieces:
                async for piece in pieces:
                    with write_errors(to):
                        output.write(piece)
                    session.reset_timeout(f"{totals['lines']:,} lines written…")

        session.run_query(copy)
    if to != STANDARD_OUTPUT:
        show(
            as_json,
            {"month": f"{month:%Y-%m}", **totals, "path": str(to)},
            lambda: f"{totals['lines']:,} lines in {to}: {totals['debit']:,} KRW on each side.",
        )


def _check_parquet() -> None:
    if find_spec("pyarrow") is None:
        raise CommandError(
            ExitCode.USAGE,
            "PARQUET_NOT_INSTALLED",
            "Parquet needs the package pyarrow, which is not installed.",
            field="format",
            advice="Run `pip install 'worksub[parquet]'`, or use --format csv.",
        )
