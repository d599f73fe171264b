"""The archive as a zip stream: bounded pieces, spreadsheet-safe cells, removed secrets (R37)."""

import csv
import io
import json
import tracemalloc
import zipfile
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from hashlib import shake_256

from adapters.export_archive import Row, RowSet, write_archive

NOON = datetime(2027, 3, 1, 3, 0, tzinfo=UTC)


def rows_of(*rows: Row) -> RowSet:
    async def batches() -> AsyncIterator[Sequence[Row]]:
        for row in rows:
            yield [row]

    return RowSet("rows", ["text", "number", "nested", "at"], batches)


def row(text: str | None, nested: object = None) -> Row:
    return {"text": text, "number": -5, "nested": nested, "at": NOON}


async def read_back(row_set: RowSet, secrets: Sequence[str] = ()) -> tuple[list[Row], list[list[str]]]:
    """Return the rows of the JSON file, and those of the CSV file with its header."""
    content = b"".join([piece async for piece in write_archive("S-1", NOON, [row_set], secrets)])
    archive = zipfile.ZipFile(io.BytesIO(content))
    text = archive.read("rows.csv").decode("utf-8-sig")
    return json.loads(archive.read("rows.json")), [*csv.reader(io.StringIO(text, newline=""))]


async def test_r37_formulas_are_disarmed_in_csv_and_kept_in_json() -> None:
    formulas = ["=1+1", "+82 2", "-1", "@sum", "\tx", "\rx", "\nx", "\uff1d1"]
    texts = [*formulas, "a=b", '"quoted", 쉼표\n두 줄', ""]
    objects, [header, *cells] = await read_back(rows_of(*map(row, texts)))
    assert [each["text"] for each in objects] == texts
    assert header == ["text", "number", "nested", "at"]
    assert [cell[0] for cell in cells] == [f"'{text}" for text in formulas] + texts[8:]
    # A number is not text: a negative amount stays a number in a spreadsheet.
    assert {cell[1] for cell in cells} == {"-5"}


async def test_r37_values_are_written_as_the_api_does() -> None:
    [found], [_, cells] = await read_back(rows_of(row(None, {"이름": [1, True, None]})))
    at = "2027-03-01T12:00:00+09:00"
    assert found == {"text": None, "number": -5, "nested": {"이름": [1, True, None]}, "at": at}
    assert cells == ["", "-5", '{"이름":[1,true,null]}', at]


async def test_r37_secrets_are_removed_from_every_text() -> None:
    objects, cells = await read_back(rows_of(row("x=ab12 ab1", {"token": "ab12"})), ["ab1", "ab12"])
    assert (objects[0]["text"], objects[0]["nested"]) == ("x=[removed] [removed]", {"token": "[removed]"})
    assert "ab1" not in str(cells)


async def test_r37_archive_without_rows_is_valid() -> None:
    assert await read_back(rows_of()) == ([], [["text", "number", "nested", "at"]])


async def test_r37_memory_does_not_grow_with_the_rows() -> None:
    """Eight megabytes of text that hardly compresses are written with less than one megabyte in memory."""

    async def batches() -> AsyncIterator[Sequence[Row]]:
        for batch in range(200):
            yield [{"text": shake_256(bytes([batch, each])).hexdigest(500)} for each in range(20)]

    size = largest = 0
    tracemalloc.start()
    async for piece in write_archive("S-1", NOON, [RowSet("rows", ["text"], batches)]):
        size, largest = size + len(piece), max(largest, len(piece))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 4_000_000
    assert max(largest, peak) < 1_000_000
