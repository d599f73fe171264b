"""The journal in several pieces: one header, and each line once, in order."""

import csv
import io
import json
from collections.abc import AsyncGenerator
from datetime import date

import pytest
from pyarrow import BufferReader, parquet

from adapters.journal_formats import COLUMNS, JournalFormat, journal_pieces
from subscription.journal import JournalAccount, JournalLine


async def lines(number: int) -> AsyncGenerator[JournalLine]:
    for amount in range(number):
        yield JournalLine(
            date=date(2027, 1, 31),
            document="S-1/SERVICE_FEE/2027-01-01",
            account=JournalAccount.ACCRUED_RECEIVABLES,
            debit=amount,
            credit=0,
            subscription_id="S-1",
            customer_id="C-1",
        )


@pytest.mark.parametrize(("number", "pieces"), [(0, 1), (1_000, 1), (2_001, 3)])
async def test_journal_of_several_pieces_has_each_line_once(number: int, pieces: int) -> None:
    written = [piece.decode() async for piece in journal_pieces(lines(number), JournalFormat.CSV)]
    assert len(written) == pieces
    header, *rows = csv.reader(io.StringIO("".join(written), newline=""))
    assert (tuple(header), [int(row[3]) for row in rows]) == (COLUMNS, [*range(number)])
    written = [piece.decode() async for piece in journal_pieces(lines(number), JournalFormat.JSONL)]
    assert [json.loads(line)["debit"] for line in "".join(written).splitlines()] == [*range(number)]


async def test_parquet_journal_has_a_row_group_for_each_50_000_lines() -> None:
    written = [piece async for piece in journal_pieces(lines(50_001), JournalFormat.PARQUET)]
    file = parquet.ParquetFile(BufferReader(b"".join(written)))
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [50_000, 1]
    table = file.read()
    assert tuple(table.column_names) == COLUMNS
    assert table["debit"].to_pylist() == [*range(50_001)]
    assert table["date"][0].as_py() == date(2027, 1, 31)
