"""Activities that delete data past its retention period."""

from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client

from activities.batch import Batch
from activities.reconciliation.orphaned_histories import OrphanedHistory, leftover_page
from adapters.postgres.pool import Pool
from adapters.temporal.executions import delete_runs
from subscription.retention import PurgeHistoriesInput, PurgeHistoriesResult, PurgeRowsInput, PurgeRowsResult

_AT_ONCE = 100


@dataclass(frozen=True)
class RetentionRule:
    """Rows of `table` are kept for so long after `since`, then go if `only` holds; both are SQL of a row."""

    table: str
    since: str
    kept: timedelta
    only: str = "true"


RETENTIONS = (
    # They name nobody. A quarter is as long as an auditor of its nights may want to look back.
    RetentionRule("reconciliations", since="started_at", kept=timedelta(days=92)),
    # A letter names its recipient; a quarter is long enough to answer "you never told me".
    RetentionRule(
        "notice_letters",
        since="(SELECT settled_at FROM notices WHERE notices.number = notice_letters.number)",
        kept=timedelta(days=90),
    ),
    # It names nobody; a quarter is long enough to answer "you never told us".
    RetentionRule("webhook_deliveries", since="settled_at", kept=timedelta(days=90)),
    # A command is remembered for at least 30 days (R22), and so is a write of the API itself.
    RetentionRule("api_writes", since="written_at", kept=timedelta(days=31)),
    # A notice is what keeps it from being told twice, so it stays for as long as it might be due again.
    RetentionRule(
        "notices",
        since="settled_at",
        kept=timedelta(days=400),
        only="kind NOT IN ('DOMAIN_UNPROVED', 'RENAME_UNPROVED') OR subscription_id IN "
        "(SELECT subscription_id FROM subscriptions WHERE state = 'ERASED')",
    ),
)
"""What is deleted with age. A table goes only with what refers to it, and the worker's role must be let."""


class RetentionActivities:
    def __init__(self, pool: Pool, client: Client) -> None:
        self._pool = pool
        self._client = client

    @activity.defn
    async def purge_histories(self, wanted: PurgeHistoriesInput) -> PurgeHistoriesResult:
        """Delete what is left of subscriptions that are erased and of requests that were refused (R31)."""
        grace, queue = timedelta(minutes=wanted.grace_minutes), activity.info().task_queue
        batch, histories = Batch("purge"), 0
        left, next_after = await leftover_page(self._client, self._pool, queue, grace, wanted.after, batch)
        for leftover in left:
            # What is lost may be all that is left of a subscription: the job `reconcile` looks at that.
            if not leftover.lost:
                histories += await batch.alone(leftover.subscription_id, self._delete(leftover)) or 0
            activity.heartbeat()
        return PurgeHistoriesResult(histories=histories, failed=tuple(batch.failures), next_after=next_after)

    async def _delete(self, leftover: OrphanedHistory) -> int:
        await delete_runs(self._client, leftover.workflow_id, leftover.run_ids)
        return len(leftover.run_ids)

    @activity.defn
    async def purge_rows(self, wanted: PurgeRowsInput) -> PurgeRowsResult:
        """Delete what is past its retention, by the database's clock, a few rows at a time."""
        batch, rows = Batch("purge"), {}
        for each in RETENTIONS:
            rows[each.table] = await batch.alone(each.table, self._purge(each)) or 0
        return PurgeRowsResult(rows=rows, failed=tuple(batch.failures))

    async def _purge(self, retention: RetentionRule) -> int:
        deleted = 0
        while True:
            rows = await self._pool.fetch(
                f"""
                DELETE FROM {retention.table} WHERE ctid IN (
                    SELECT ctid FROM {retention.table}
                     WHERE {retention.since} < clock_timestamp() - $1::interval AND ({retention.only})
                     LIMIT $2)
                RETURNING 1
                """,  # noqa: S608 - the parts are RETENTIONS
                retention.kept,
                _AT_ONCE,
            )
            activity.heartbeat()
            deleted += len(rows)
            if len(rows) < _AT_ONCE:
                return deleted
