"""Activities that delete data past its retention period."""

from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client

from activities.batch import Batch
from activities.reconciliation.orphaned_histories import OrphanedHistory, orphaned_history_page
from adapters.postgres.pool import Pool
from adapters.temporal.executions import delete_runs
from subscription.retention import PurgeHistoriesInput, PurgeHistoriesResult, PurgeRowsInput, PurgeRowsResult

_ROWS_PER_DELETE = 100


@dataclass(frozen=True)
class RetentionRule:
    """Delete rows of `table` once `since` is older than `kept` and `only` holds. Both are SQL expressions."""

    table: str
    since: str
    kept: timedelta
    only: str = "true"


RETENTIONS = (
    # No personal data. Kept for 92 days for audits.
    RetentionRule("reconciliations", since="started_at", kept=timedelta(days=92)),
    # No personal data. The events keep the channel BULK for ever.
    RetentionRule("bulk_runs", since="finished_at", kept=timedelta(days=92)),
    # An email contains its recipient. 90 days are enough to prove that a notice was sent.
    RetentionRule(
        "notice_emails",
        since="(SELECT completed_at FROM notices WHERE notices.number = notice_emails.number)",
        kept=timedelta(days=90),
    ),
    # No personal data. 90 days are enough to prove that an event was delivered.
    RetentionRule("webhook_deliveries", since="completed_at", kept=timedelta(days=90)),
    # Idempotency keys of commands are stored for at least 30 days (R22), and so are those of API writes.
    RetentionRule("api_writes", since="written_at", kept=timedelta(days=31)),
    # A notice row prevents a second notice, so it stays for as long as the notice might be due again.
    RetentionRule(
        "notices",
        since="completed_at",
        kept=timedelta(days=400),
        only="kind NOT IN ('DOMAIN_UNVERIFIED', 'RENAME_UNVERIFIED') OR subscription_id IN "
        "(SELECT subscription_id FROM subscriptions WHERE state = 'ERASED')",
    ),
)
"""Rules of the daily deletion. A rule must cover referencing rows, and the worker's role needs DELETE."""


class RetentionActivities:
    def __init__(self, pool: Pool, client: Client) -> None:
        self._pool = pool
        self._client = client

    @activity.defn
    async def purge_histories(self, input: PurgeHistoriesInput) -> PurgeHistoriesResult:
        """Delete orphaned histories of erased subscriptions and refused requests (R31)."""
        grace, queue = timedelta(minutes=input.grace_minutes), activity.info().task_queue
        batch, histories = Batch("purge"), 0
        orphans, next_after = await orphaned_history_page(
            self._client, self._pool, queue, grace, input.after, batch
        )
        for orphan in orphans:
            # An unrecorded history may be the only data of a subscription: the job `reconcile` handles it.
            if not orphan.is_unrecorded:
                histories += await batch.run_member(orphan.subscription_id, self._delete(orphan)) or 0
            activity.heartbeat()
        return PurgeHistoriesResult(histories=histories, failed=tuple(batch.failures), next_after=next_after)

    async def _delete(self, orphan: OrphanedHistory) -> int:
        await delete_runs(self._client, orphan.workflow_id, orphan.run_ids)
        return len(orphan.run_ids)

    @activity.defn
    async def purge_rows(self, input: PurgeRowsInput) -> PurgeRowsResult:
        """Delete rows past their retention period, by the database clock, in small batches."""
        batch, rows = Batch("purge"), {}
        for rule in RETENTIONS:
            rows[rule.table] = await batch.run_member(rule.table, self._purge(rule)) or 0
        return PurgeRowsResult(rows=rows, failed=tuple(batch.failures))

    async def _purge(self, rule: RetentionRule) -> int:
        deleted = 0
        while True:
            rows = await self._pool.fetch(
                f"""
                DELETE FROM {rule.table} WHERE ctid IN (
                    SELECT ctid FROM {rule.table}
                     WHERE {rule.since} < clock_timestamp() - $1::interval AND ({rule.only})
                     LIMIT $2)
                RETURNING 1
                """,  # noqa: S608 - the parts are RETENTIONS
                rule.kept,
                _ROWS_PER_DELETE,
            )
            activity.heartbeat()
            deleted += len(rows)
            if len(rows) < _ROWS_PER_DELETE:
                return deleted
