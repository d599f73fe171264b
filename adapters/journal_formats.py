"""The journal as CSV, JSON Lines or Parquet, in pieces of at most some hundred kilobytes."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from enum import StrEnum
from itertools import chain
from typing import TypeVar

from adapters import csv_format
from adapters.csv_format import csv_text
from subscription.journal import JournalLine

T = TypeVar("T")

COLUMNS = ("date", "document", "account", "debit", "credit", "currency", "subscription_id", "customer_id")

_LINES_A_PIECE = 1_000
_ROWS_A_GROUP = 50_000
"""Rows of a Parquet row group, which is in memory until it is complete."""


class JournalFormat(StrEnum):
    """Formats of the journal. Parquet needs the optional package pyarrow."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


MEDIA_TYPES = {JournalFormat.CSV: csv_format.MEDIA_TYPE, JournalFormat.JSONL: "application/jsonl"}


def journal_pieces(lines: AsyncGenerator[JournalLine], written_as: JournalFormat) -> AsyncGenerator[bytes]:
    """Yield the lines in this format, at least one piece."""
    write: Callable[[AsyncGenerator[JournalLine]], AsyncGenerator[bytes]] = {
        JournalFormat.CSV: _csv,
        JournalFormat.JSONL: _json_lines,
        JournalFormat.PARQUET: _parquet,
    }[written_as]
    return write(lines)


async def _csv(lines: AsyncGenerator[JournalLine]) -> AsyncGenerator[bytes]:
    header: Sequence[Sequence[object]] = [COLUMNS]
    async with aclosing(lines):
        async for some in _grouped(lines, _LINES_A_PIECE):
            yield csv_text(chain(header, map(_values, some))).encode()
            header = ()


async def _json_lines(lines: AsyncGenerator[JournalLine]) -> AsyncGenerator[bytes]:
    async with aclosing(lines):
        async for some in _grouped(lines, _LINES_A_PIECE):
            yield "".join(f"{line.model_dump_json()}\n" for line in some).encode()


async def _parquet(lines: AsyncGenerator[JournalLine]) -> AsyncGenerator[bytes]:
    import pyarrow
    from pyarrow import parquet

    types = {"date": pyarrow.date32(), "debit": pyarrow.int64(), "credit": pyarrow.int64()}
    schema = pyarrow.schema([(name, types.get(name, pyarrow.string())) for name in COLUMNS])
    written = _Written()
    async with aclosing(lines):
        with parquet.ParquetWriter(written, schema) as writer:
            async for some in _grouped(lines, _ROWS_A_GROUP):
                rows = [dict(zip(COLUMNS, _values(line), strict=True)) for line in some]
                writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
                yield written.take()
    yield written.take()


class _Written:
    """A file for pyarrow, which keeps only what was written since the latest `take`."""

    closed = False

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, content: bytes) -> int:
        self._written += content
        return len(content)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        content = bytes(self._written)
        self._written.clear()
        return content


async def _grouped(items: AsyncIterator[T], size: int) -> AsyncIterator[Sequence[T]]:
    """Yield the items in groups of this size, at least one group, which can be empty."""
    group: list[T] = []
    is_first = True
    async for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group, is_first = [], False
    if group or is_first:
        yield group


def _values(line: JournalLine) -> list[object]:
    return [getattr(line, name) for name in COLUMNS]
