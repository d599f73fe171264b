"""Bulk runs in the database: the fixed list, and the outcome of each subscription."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import asyncpg

from adapters.postgres.pool import Pool
from adapters.postgres.read_only_pool import Reader
from subscription.bulk import (
    BulkEffect,
    BulkItem,
    BulkItems,
    BulkOutcome,
    BulkProgress,
    BulkResult,
    BulkRun,
    BulkState,
    command_id,
)
from subscription.commands import Expected
from subscription.model import Frozen


class NewBulkRun(Frozen):
    """A run to store, before its workflow starts. `revision` is that of the price book of its preview."""

    run_id: str
    preview: str
    command: str
    argument: Mapping[str, Any]
    revision: int
    rate: int
    issued_by: str | None


class BulkCommand(NamedTuple):
    """A command to send. `outcome` is set if it was sent before; `accepted` if its answer is stored (R22)."""

    subscription_id: str
    name: str
    argument: str
    expected: Expected
    issued_by: str | None
    outcome: BulkOutcome | None
    accepted: bool


async def insert_run(pool: Pool, run: NewBulkRun, effects: Sequence[BulkEffect]) -> bool:
    """Store a run with its list in one transaction; return False if there is a run with this ID.

    A refusal of the preview is already an outcome: the run sends no command to that subscription.
    """
    async with pool.acquire() as connection, connection.transaction():
        try:
            await connection.execute(
                """
                INSERT INTO bulk_runs (run_id, preview, command, argument, revision, rate, issued_by)
                VALUES ($1, $2, $3, $4, $5, $6, $7)
                """,
                run.run_id,
                run.preview,
                run.command,
                json.dumps(run.argument),
                run.revision,
                run.rate,
                run.issued_by,
            )
        except asyncpg.UniqueViolationError:
            return False
        await connection.execute(
            """
            INSERT INTO bulk_items (run_id, position, subscription_id, customer_id, sequence, expected_on,
                                    monthly_before, monthly_after, charge, outcome, code)
            SELECT $1, position, subscription_id, customer_id, sequence, expected_on, monthly_before,
                   monthly_after, charge, CASE WHEN code IS NOT NULL THEN 'REFUSED' END, code
              FROM unnest($2::text[], $3::text[], $4::integer[], $5::date[], $6::bigint[], $7::bigint[],
                          $8::bigint[], $9::text[]) WITH ORDINALITY
                AS listed (subscription_id, customer_id, sequence, expected_on, monthly_before, monthly_after,
                           charge, code, position)
            """,
            run.run_id,
            [effect.subscription_id for effect in effects],
            [effect.customer_id for effect in effects],
            [effect.sequence for effect in effects],
            [effect.date for effect in effects],
            [effect.monthly_before for effect in effects],
            [effect.monthly_after for effect in effects],
            [effect.charge for effect in effects],
            [effect.code for effect in effects],
        )
    return True


async def load_items(reader: Reader, run_id: str, after: int, limit: int) -> BulkItems:
    """Return the next subscriptions without an outcome, in the order of the list."""
    rows = await reader.fetch(
        """
        SELECT position, customer_id FROM bulk_items
         WHERE run_id = $1 AND position > $2 AND outcome IS NULL ORDER BY position LIMIT $3
        """,
        run_id,
        after,
        limit,
    )
    return BulkItems(items=tuple(BulkItem.model_validate(dict(row)) for row in rows))


async def load_command(reader: Reader, run_id: str, position: int) -> BulkCommand | None:
    """Return the command at this position; None if there is none."""
    row = await reader.fetchrow(
        """
        SELECT subscription_id, command, argument, item.sequence, expected_on,
               revision, issued_by, outcome,
               EXISTS (SELECT FROM command_answers AS answer
                        WHERE answer.subscription_id = item.subscription_id
                          AND answer.command_id = $3) AS accepted
          FROM bulk_items AS item JOIN bulk_runs USING (run_id)
         WHERE run_id = $1 AND position = $2
        """,
        run_id,
        position,
        command_id(run_id),
    )
    if row is None:
        return None
    return BulkCommand(
        row["subscription_id"],
        row["command"],
        row["argument"],
        Expected(sequence=row["sequence"], date=row["expected_on"], revision=row["revision"]),
        row["issued_by"],
        BulkOutcome(row["outcome"]) if row["outcome"] else None,
        row["accepted"],
    )


async def record_outcome(
    pool: Pool, run_id: str, position: int, outcome: BulkOutcome, code: str | None
) -> None:
    """Store the outcome of a subscription; a stored outcome stays as it is."""
    await pool.execute(
        """
        UPDATE bulk_items SET outcome = $3, code = $4, completed_at = clock_timestamp()
         WHERE run_id = $1 AND position = $2 AND outcome IS NULL
        """,
        run_id,
        position,
        outcome,
        code,
    )


async def record_state(pool: Pool, run_id: str, state: BulkState) -> BulkProgress:
    """Store the state of a run, and return its progress."""
    await pool.execute(
        """
        UPDATE bulk_runs
           SET state = $2, finished_at = CASE WHEN $3 THEN coalesce(finished_at, clock_timestamp()) END
         WHERE run_id = $1
        """,
        run_id,
        state,
        state.has_ended,
    )
    rows = await pool.fetch(
        "SELECT outcome, count(*) AS number FROM bulk_items WHERE run_id = $1 GROUP BY outcome", run_id
    )
    return BulkProgress(
        subscriptions=sum(row["number"] for row in rows),
        outcomes={BulkOutcome(row["outcome"]): row["number"] for row in rows if row["outcome"]},
    )


async def preview_of_run(reader: Reader, run_id: str) -> str | None:
    """Return the hash of the preview with which a run was started; None if there is no such run."""
    preview: str | None = await reader.fetchval("SELECT preview FROM bulk_runs WHERE run_id = $1", run_id)
    return preview


async def list_runs(reader: Reader, *, run_id: str | None = None, skip: int = 0, limit: int) -> list[BulkRun]:
    """Return the runs with their progress, the latest first; with `run_id`, only this one."""
    rows = await reader.fetch(
        """
        SELECT run.run_id, command, argument, state, rate, issued_by, started_at, finished_at, progress.*
          FROM (SELECT * FROM bulk_runs WHERE $1::text IS NULL OR run_id = $1
                 ORDER BY started_at DESC, run_id LIMIT $3 OFFSET $2) AS run
         CROSS JOIN LATERAL (
               SELECT count(*) AS subscriptions,
                      count(*) FILTER (WHERE outcome = 'ACCEPTED') AS accepted,
                      count(*) FILTER (WHERE outcome = 'REFUSED') AS refused,
                      count(*) FILTER (WHERE outcome = 'UNANSWERED') AS unanswered,
                      count(*) FILTER (WHERE outcome IS NULL) AS waiting,
                      coalesce(sum(monthly_before) FILTER (WHERE outcome = 'ACCEPTED'), 0)::bigint
                          AS monthly_before,
                      coalesce(sum(monthly_after) FILTER (WHERE outcome = 'ACCEPTED'), 0)::bigint
                          AS monthly_after,
                      coalesce(sum(charge) FILTER (WHERE outcome = 'ACCEPTED'), 0)::bigint AS charge
                 FROM bulk_items AS item WHERE item.run_id = run.run_id) AS progress
         ORDER BY started_at DESC, run_id
        """,
        run_id,
        skip,
        limit,
    )
    return [_run(row) for row in rows]


async def list_results(
    reader: Reader, run_id: str, *, after: int, limit: int, outcome: BulkOutcome | None = None
) -> list[BulkResult]:
    """Return the results after this position, in the order of the list."""
    rows = await reader.fetch(
        """
        SELECT position, subscription_id, customer_id, outcome, code, monthly_before, monthly_after, charge,
               completed_at
          FROM bulk_items
         WHERE run_id = $1 AND position > $2 AND ($4::text IS NULL OR outcome = $4)
         ORDER BY position LIMIT $3
        """,
        run_id,
        after,
        limit,
        outcome,
    )
    return [BulkResult.model_validate(dict(row)) for row in rows]


def _run(row: asyncpg.Record) -> BulkRun:
    return BulkRun.model_validate({**dict(row), "argument": json.loads(row["argument"])})
