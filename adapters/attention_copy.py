"""Background task of the worker that copies the `NeedsAttention` reasons from Temporal to PostgreSQL."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio.client import Client, WorkflowExecution

from adapters.postgres.pool import Pool
from subscription.attention import ATTENTION_MEMO, Attention, AttentionKind
from subscription.ids import WORKFLOW_ID_PREFIX

NEEDS_ATTENTION_QUERY = "NeedsAttention = true AND CloseTime IS NULL"
"""Visibility query for the running workflows that need attention."""

_PAUSE_SECONDS = 5.0
_PAUSE_FACTOR = 2
"""The pause after a copy is at least twice the duration of that copy."""

_log = logging.getLogger(__name__)


@asynccontextmanager
async def run_attention_copy(pool: Pool, client: Client) -> AsyncIterator[None]:
    """Copy the reasons periodically until the context exits."""
    task = asyncio.create_task(_copy_periodically(pool, client))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _copy_periodically(pool: Pool, client: Client) -> None:
    failing = False
    while True:
        begin = time.monotonic()
        try:
            await copy_attention(pool, client)
            failing = False
        except Exception as error:
            if not failing:  # log once per outage
                _log.warning("the NeedsAttention reasons could not be copied", exc_info=error)
            failing = True
        await asyncio.sleep(max(_PAUSE_SECONDS, _PAUSE_FACTOR * (time.monotonic() - begin)))


async def copy_attention(pool: Pool, client: Client) -> None:
    """Replace the reasons in the database with the present ones from Temporal.

    Several workers may run this concurrently.
    """
    marked = {
        run.id.removeprefix(WORKFLOW_ID_PREFIX): await attention_of(run)
        or Attention(kind=AttentionKind.OPERATOR)
        async for run in client.list_workflows(NEEDS_ATTENTION_QUERY)
    }
    reasons = [attention for _, attention in sorted(marked.items())]
    await pool.execute(
        """
        WITH marked AS (
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
                       AS each (subscription_id, kind, reason, since)
        ), removed AS (
            DELETE FROM attention WHERE subscription_id NOT IN (SELECT subscription_id FROM marked)
        )
        INSERT INTO attention AS present SELECT * FROM marked
        ON CONFLICT (subscription_id)
        DO UPDATE SET kind = excluded.kind, reason = excluded.reason, since = excluded.since
         WHERE (present.kind, present.reason, present.since)
               IS DISTINCT FROM (excluded.kind, excluded.reason, excluded.since)
        """,
        sorted(marked),
        [attention.kind.value for attention in reasons],
        [attention.reason for attention in reasons],
        [attention.since for attention in reasons],
    )


async def attention_of(run: WorkflowExecution) -> Attention | None:
    """Return the reason in the memo of a run, or None if the memo has no reason.

    An unreadable memo yields a reason without text. A client can start a workflow with any memo, and one
    invalid memo must not prevent the others from being read.
    """
    try:
        attention: Attention | None = await run.memo_value(ATTENTION_MEMO, None, type_hint=Attention)
    except Exception:
        return Attention(kind=AttentionKind.OPERATOR)
    return attention
