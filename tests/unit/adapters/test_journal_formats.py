"""The journal in several pieces: one header, and each line once, in order."""

import csv
import io
import json
from collections.abc import AsyncGenerator
from datetime import date

import pytest

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
