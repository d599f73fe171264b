"""`worksub journal`: the file and its totals, as CSV and as Parquet."""

import csv
from pathlib import Path

from pyarrow import parquet
from support.cli_runner import Cli

from adapters.journal_formats import COLUMNS

from .conftest import Service


async def test_journal_file_has_the_reported_totals(service: Service, cli: Cli, tmp_path: Path) -> None:
    subscription_id = await service.paid()
    account = (await service.client.status(subscription_id)).account
    today = (await service.client.timeline(subscription_id))[-1].at.date()
    await cli.json("cancel", subscription_id, "--date", f"{today}", "--confirm", str(account))
    file = tmp_path / "journal.csv"

    report = await cli.json("journal", "--month", f"{today:%Y-%m}", "--to", str(file))

    with file.open(newline="", encoding="utf-8") as written:
        rows = list(csv.DictReader(written))
    assert tuple(rows[0]) == COLUMNS
    assert sum(int(row["debit"]) for row in rows) == sum(int(row["credit"]) for row in rows)
    assert (report["lines"], report["debit"]) == (len(rows), sum(int(row["debit"]) for row in rows))
    assert f"{subscription_id}/EARLY_TERMINATION_FEE/{today}" in {row["document"] for row in rows}
    file = tmp_path / "journal.parquet"
    month = f"{today:%Y-%m}"
    assert await cli.json("journal", "--month", month, "--format", "parquet", "--to", str(file)) == report | {
        "path": str(file)
    }
    as_text = [
        {name: str(value) for name, value in row.items()} for row in parquet.read_table(file).to_pylist()
    ]
    assert as_text == rows
