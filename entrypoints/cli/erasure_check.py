"""Search of tables, histories and files for personal data, used by `worksub demo`."""

import json
from collections.abc import Sequence

import asyncpg
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.executions import list_runs
from dev_stack.temporal_server import TemporalServer


async def count_rows(database_url: str, values: Sequence[str]) -> int:
    """Count the rows of all tables that contain one of the values in any column."""
    connection = await asyncpg.connect(database_url)
    try:
        tables = await connection.fetch(
            "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public'"
        )
        rows = 0
        for table in tables:
            rows += await connection.fetchval(
                f"""
                SELECT count(*) FROM {table["name"]} searched WHERE EXISTS (
                    SELECT FROM unnest($1::text[]) value
                     WHERE strpos(lower(searched::text), lower(value)) > 0)
                """,  # noqa: S608 - the database quotes the names
                values,
            )
        return rows
    finally:
        await connection.close()


async def runs_of(client: Client, workflow_id: str) -> set[str]:
    """Return the IDs of all runs of a workflow that the server lists."""
    return {run.run_id for run in await list_runs(client, workflow_id)}


async def count_events(client: Client, workflow_id: str, run_ids: set[str], values: Sequence[str]) -> int:
    """Count the events of these runs that contain one of the values. Deleted runs count as empty."""
    events = 0
    for run_id in run_ids:
        try:
            history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            continue
        events += sum(_occurrences(event.SerializeToString(), values) > 0 for event in history.events)
    return events


async def count_on_disk(server: TemporalServer, values: Sequence[str]) -> int:
    """Count the occurrences of the values in the bytes of Temporal's database file."""
    return _occurrences(await server.stored_bytes(), values)


def _occurrences(content: bytes, values: Sequence[str]) -> int:
    """Count the values as UTF-8 text, and as JSON with escaped non-ASCII characters."""
    spellings = {value.encode() for value in values} | {
        json.dumps(value).strip('"').encode() for value in values
    }
    return sum(content.count(spelling) for spelling in spellings)
