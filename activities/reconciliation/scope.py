"""Scope of a run: the subscriptions whose workflows it queries.

A query replays the workflow, which costs a hundred times as much as a list. A run therefore queries only a
share of the workflows, and every workflow if it cannot rely on the run before it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio import activity
from temporalio.client import Client

from adapters.postgres.pool import Connection, Pool
from adapters.temporal.visibility import quote_visibility_value
from subscription.reconciliation import ReconcilePage

# In the first night of a release, this share of a rotation is queried at once.
_RELEASE_SHARE = 4
CLOCK_DIFFERENCE = timedelta(minutes=10)
"""The clocks of the two servers may differ by this much."""


@dataclass(frozen=True)
class Scope:
    """The part of the rotation of this run, and the run before it.

    Each subscription has one of `nights` positions, by a hash of its ID. The run queries `share` positions,
    from `turn` on; the next run continues after them.
    """

    nights: int
    turn: int
    share: int
    previous_run: str | None = None
    changed_since: datetime | None = None
    """Changes since then are queried; None if the whole rotation is."""

    @classmethod
    def everything(cls, nights: int) -> "Scope":
        return cls(nights, turn=0, share=nights)


async def load_scope(pool: Pool, client: Client, input: ReconcilePage, *, nights: int, release: str) -> Scope:
    """Return the scope of a run, which its first page determines and stores.

    A run that was started by hand at a later page queries every workflow.
    """
    async with pool.acquire() as connection:
        if scope := await _stored(connection, input.run):
            return scope
        if input.after:
            return Scope.everything(nights)
        await _store(connection, client, input, nights, release)
        scope = await _stored(connection, input.run)
    assert scope
    return scope


async def _stored(connection: Connection, run: str) -> Scope | None:
    row = await connection.fetchrow(
        """
        SELECT run.nights, run.turn, run.share, run.previous_run, previous.started_at
          FROM reconciliations AS run
          LEFT JOIN reconciliations AS previous ON previous.run = run.previous_run
         WHERE run.run = $1 AND run.release IS NOT NULL
        """,
        run,
    )
    if row is None:
        return None
    nights, turn, share, previous_run, started_at = row
    return Scope(nights, turn, share, previous_run, started_at and started_at - CLOCK_DIFFERENCE)


async def _store(
    connection: Connection, client: Client, input: ReconcilePage, nights: int, release: str
) -> None:
    database = await _database_identity(connection)
    previous = await connection.fetchrow(
        """
        SELECT run, release, database, turn, share FROM reconciliations
         WHERE finished_at IS NOT NULL AND release IS NOT NULL ORDER BY finished_at DESC LIMIT 1
        """
    )
    turn, share, previous_run = 0, nights, None
    if previous:
        turn = (previous["turn"] + previous["share"]) % nights
        if previous["database"] == database and await _is_latest_on_both_sides(connection, client):
            previous_run = previous["run"]
            if not input.query_all:
                share = 1 if previous["release"] == release else -(-nights // _RELEASE_SHARE)
    await connection.execute(
        """
        INSERT INTO reconciliations (run, release, database, nights, turn, share, previous_run)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
        """,
        *(input.run, release, database, nights, turn, share, previous_run),
    )


async def _is_latest_on_both_sides(connection: Connection, client: Client) -> bool:
    """Return whether the latest finished run is the same in PostgreSQL and in Temporal.

    If one of them has been restored from before that run, it does not know it.
    """
    finished_by = await connection.fetchval(
        """
        SELECT finished_by FROM reconciliations WHERE finished_at IS NOT NULL
         ORDER BY finished_at DESC LIMIT 1
        """
    )
    query = "WorkflowType = 'ReconcileWorkflow' AND ExecutionStatus = 'Completed' "
    query += f"AND TaskQueue = {quote_visibility_value(activity.info().task_queue)}"
    # A list begins with the run that was closed last.
    async for run in client.list_workflows(query, limit=1):
        return bool(run.run_id == finished_by)
    return False


async def _database_identity(connection: Connection) -> str:
    """Return a value that changes when a backup is restored or a standby takes over.

    A restore into a new database has another OID. Point-in-time recovery and a promotion start another
    timeline.
    """
    identity: str = await connection.fetchval(
        """
        SELECT concat_ws('/', system_identifier, timeline_id, oid)
          FROM pg_control_system(), pg_control_checkpoint(), pg_database
         WHERE datname = current_database()
        """
    )
    return identity
