"""Prometheus gauges, sampled from PostgreSQL and Temporal at a fixed interval."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio.client import Client, WorkflowExecution
from temporalio.common import MetricMeter

from adapters.attention_copy import NEEDS_ATTENTION_QUERY
from adapters.postgres.pool import Pool
from adapters.postgres.price_book_repository import load_price_book
from subscription.attention import ATTENTION_MEMO, Attention, AttentionKind
from subscription.state import State

_INTERVAL_SECONDS = 15.0
SCHEDULED_JOBS = ("reconcile", "purge", "invoices", "notices")
_MAX_CLASSIFIED = 1000
_UNKNOWN_KIND = "UNKNOWN"
_SCHEDULE_ID_PREFIX = "worksub-"

_log = logging.getLogger(__name__)


@asynccontextmanager
async def run_gauge_sampler(
    pool: Pool, client: Client, meter: MetricMeter, *, sends_notices: bool
) -> AsyncIterator[None]:
    """Update the gauges periodically until the context exits."""
    task = asyncio.create_task(GaugeSampler(pool, client, meter, sends_notices=sends_notices).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


class GaugeSampler:
    """Sampler of the gauges.

    Every worker reports the same numbers, so aggregate the gauges of several workers with max, not sum.
    Without a mail server (`sends_notices` is False) notices are stored for other systems, and none waits.
    """

    def __init__(self, pool: Pool, client: Client, meter: MetricMeter, *, sends_notices: bool = True) -> None:
        self._pool = pool
        self._client = client
        self._sends_notices = sends_notices
        self._subscriptions = meter.create_gauge("worksub_subscriptions", "Subscriptions by state")
        self._overdue = meter.create_gauge(
            "worksub_deadlines_overdue", "Subscriptions whose next deadline is past and not yet processed"
        )
        self._most_overdue = meter.create_gauge_float(
            "worksub_deadlines_overdue_longest_seconds", "Time since the earliest overdue deadline"
        )
        self._attention = meter.create_gauge(
            "worksub_needing_attention", "Subscriptions with NeedsAttention set"
        )
        self._reconciled_at = meter.create_gauge_float(
            "worksub_reconciliation_timestamp_seconds",
            "Time of the latest completed reconciliation; before the first one, time of the database setup",
        )
        self._findings = meter.create_gauge(
            "worksub_reconciliation_findings", "Unrepaired findings of the latest reconciliation"
        )
        self._webhooks_waiting = meter.create_gauge(
            "worksub_webhooks_waiting", "Webhook deliveries waiting to be sent"
        )
        self._longest_waiting = meter.create_gauge_float(
            "worksub_webhooks_waiting_longest_seconds", "Age of the oldest waiting webhook delivery"
        )
        self._webhooks_parked = meter.create_gauge(
            "worksub_webhooks_parked", "Parked webhook deliveries (dead letters)"
        )
        self._notices_waiting = meter.create_gauge(
            "worksub_notices_waiting", "Emails to customers waiting to be sent"
        )
        self._notices_longest_waiting = meter.create_gauge_float(
            "worksub_notices_waiting_longest_seconds", "Age of the oldest email that has not been attempted"
        )
        self._schedules = meter.create_gauge(
            "worksub_schedule_active", "1 if the schedule of this job exists and is not paused, else 0"
        )
        self._sampled_at = meter.create_gauge_float(
            "worksub_sample_timestamp_seconds", "Time of the last successful sampling of these gauges"
        )

    async def run(self) -> None:
        """Sample until canceled. While a server is unavailable, the gauges keep their values.

        An unexpected error is logged like an outage. The sampling timestamp then becomes stale, which
        raises the alert WorksubGaugesStale. If this task ended instead, the gauges would never recover.
        """
        while True:
            try:
                await self.sample()
            except Exception as error:
                _log.warning("the gauges could not be read", exc_info=error)
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def sample(self) -> None:
        """Read every gauge once."""
        await self._count_subscriptions()
        await self._count_overdue()
        await self._read_latest_reconciliation()
        await self._count_webhooks()
        await self._count_notices()
        await self._check_schedules()
        await self._count_needing_attention()
        self._sampled_at.set(time.time())

    async def _count_subscriptions(self) -> None:
        rows = await self._pool.fetch("SELECT state, count(*) FROM subscriptions GROUP BY state")
        counts: dict[str, int] = {row["state"]: row["count"] for row in rows}
        for state in State:
            self._subscriptions.set(counts.get(state, 0), {"state": state})

    async def _count_overdue(self) -> None:
        row = await self._pool.fetchrow(
            """
            SELECT count(*), extract(epoch FROM clock_timestamp() - min(at))::float8
              FROM (SELECT CASE next_deadline WHEN 'SERVICE_FEES' THEN next_deadline_at + $1::interval
                                              ELSE next_deadline_at END AS at
                      FROM subscriptions WHERE next_deadline_at < clock_timestamp()) AS past
             WHERE at < clock_timestamp()
            """,
            (await load_price_book(self._pool)).billing_window,
        )
        count, longest = row or (0, None)
        self._overdue.set(count)
        self._most_overdue.set(longest or 0)

    async def _read_latest_reconciliation(self) -> None:
        """Report the latest reconciliation; before the first one, report the setup time of the database.

        Without that initial value, a reconciliation that never runs would have no age and raise no alert.
        """
        row = await self._pool.fetchrow(
            """
            SELECT extract(epoch FROM finished_at)::float8,
                   (SELECT count(*) FROM reconciliation_findings AS each
                     WHERE each.run = reconciliations.run AND NOT repaired AND resolved_at IS NULL)
              FROM reconciliations WHERE finished_at IS NOT NULL ORDER BY started_at DESC LIMIT 1
            """
        )
        finished_at, unrepaired = row or (await self._set_up_at(), 0)
        self._reconciled_at.set(finished_at)
        self._findings.set(unrepaired)

    async def _set_up_at(self) -> float:
        set_up_at: float = await self._pool.fetchval(
            "SELECT extract(epoch FROM min(applied_at))::float8 FROM schema_migrations"
        )
        return set_up_at

    async def _count_needing_attention(self) -> None:
        """Count by kind. Workflows beyond the first page are only counted, and reported as UNKNOWN."""
        total = (await self._client.count_workflows(NEEDS_ATTENTION_QUERY)).count
        counts = Counter[str]()
        async for run in self._client.list_workflows(NEEDS_ATTENTION_QUERY, limit=_MAX_CLASSIFIED):
            counts[await _kind_of(run)] += 1
        counts[_UNKNOWN_KIND] += max(0, total - counts.total())
        for kind in (*AttentionKind, _UNKNOWN_KIND):
            self._attention.set(counts[kind], {"kind": kind})

    async def _check_schedules(self) -> None:
        """Report for each job whether its schedule exists in Temporal and is not paused."""
        active = {
            listed.id
            async for listed in await self._client.list_schedules()
            if listed.schedule and not listed.schedule.state.paused
        }
        for job in SCHEDULED_JOBS:
            self._schedules.set(int(_SCHEDULE_ID_PREFIX + job in active), {"schedule": job})

    async def _count_webhooks(self) -> None:
        """Count waiting deliveries of enabled endpoints, and parked deliveries of all existing endpoints."""
        row = await self._pool.fetchrow(
            """
            SELECT count(*) FILTER (WHERE state = 'WAITING' AND status = 'ENABLED'),
                   extract(epoch FROM clock_timestamp()
                           - min(queued_at) FILTER (WHERE state = 'WAITING' AND status = 'ENABLED'))::float8,
                   count(*) FILTER (WHERE state = 'PARKED')
              FROM webhook_endpoints JOIN webhook_deliveries USING (endpoint_id)
             WHERE removed_at IS NULL AND state IN ('WAITING', 'PARKED') AND sequence IS NOT NULL
            """
        )
        waiting, longest, parked = row or (0, None, 0)
        self._webhooks_waiting.set(waiting)
        self._longest_waiting.set(longest or 0)
        self._webhooks_parked.set(parked)

    async def _count_notices(self) -> None:
        """Count waiting emails. An email that its recipient's server defers does not count as the oldest."""
        row = await self._pool.fetchrow(
            """
            SELECT count(*),
                   extract(epoch FROM clock_timestamp()
                           - min(queued_at) FILTER (WHERE attempts = 0))::float8
              FROM notices WHERE state = 'WAITING' AND $1
            """,
            self._sends_notices,
        )
        waiting, longest = row or (0, None)
        self._notices_waiting.set(waiting)
        self._notices_longest_waiting.set(longest or 0)


async def _kind_of(run: WorkflowExecution) -> str:
    """Return the kind in the memo. An unreadable memo must not prevent the sampling of all gauges."""
    try:
        attention: Attention | None = await run.memo_value(ATTENTION_MEMO, None, type_hint=Attention)
    except Exception as error:
        _log.warning("a memo could not be read", exc_info=error)
        return _UNKNOWN_KIND
    return attention.kind if attention else _UNKNOWN_KIND
