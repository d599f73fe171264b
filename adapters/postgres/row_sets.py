"""Row sets of an export that are read with a cursor, in bounded memory (R37)."""

import json
from collections.abc import AsyncIterator, Callable, Sequence

import asyncpg

from adapters.export_archive import Row, RowSet
from adapters.postgres.pool import Connection

_BATCH = 500


async def row_set(connection: Connection, name: str, query: str, *arguments: object) -> RowSet:
    """Return the rows of a query, which runs once for each file, in the transaction of the connection."""
    statement = await connection.prepare(query)
    attributes = statement.get_attributes()
    documents = {attribute.name for attribute in attributes if attribute.type.name in ("json", "jsonb")}

    async def batches() -> AsyncIterator[Sequence[Row]]:
        cursor = await statement.cursor(*arguments)
        while records := await cursor.fetch(_BATCH):
            yield [_row(record, documents) for record in records]

    return RowSet(name, [attribute.name for attribute in attributes], batches)


def converted(rows: RowSet, columns: Sequence[str], convert: Callable[[Row], Row]) -> RowSet:
    """Return the row set with each row converted to these columns."""

    async def batches() -> AsyncIterator[Sequence[Row]]:
        async for batch in rows.batches():
            yield [convert(row) for row in batch]

    return RowSet(rows.name, columns, batches)


def _row(record: asyncpg.Record, documents: set[str]) -> Row:
    """Return a record as a row. The pools transfer JSON as text, which is parsed here."""
    row = dict(record)
    for name in documents:
        if row[name] is not None:
            row[name] = json.loads(row[name])
    return row
