"""A page of subscriptions in the database, compared with the running workflows in its range of IDs."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from activities.batch import Batch
from activities.erasure import PERSONAL_DATA
from activities.reconciliation.context import ReconcileContext, run_checks, unreadable
from activities.reconciliation.heartbeats import Heartbeats
from activities.reconciliation.listed_workflows import ListedWorkflow, list_range
from activities.reconciliation.orphan_check import unexpected_workflows
from activities.reconciliation.record_snapshot import RecordSnapshot, recorded_page
from activities.reconciliation.scope import Scope
from activities.reconciliation.screening import is_sound
from activities.reconciliation.subscription_check import check_subscription, update_attention
from adapters.postgres.pool import Pool
from subscription.batch import MemberFailure
from subscription.model import Frozen
from subscription.reconciliation import ReconcilePageResult

_PAGE_SIZE = 2000
# Two slices are in memory at a time.
_SLICE_SIZE = 250


def _has(table: str, condition: str = "true") -> str:
    """Return the SQL condition that a subscription has such a row in this table.

    A subquery with LIMIT runs once for each subscription. For EXISTS, the planner may read the whole table
    for each page instead.
    """
    return f"""
        (SELECT 1 FROM {table} AS its
          WHERE its.subscription_id = each.subscription_id AND {condition} LIMIT 1) IS NOT NULL
    """  # noqa: S608 - the parts are constants


_CHANGED = _has("lifecycle_events", "its.recorded_at >= $6 AND its.event <> 'SERVICE_FEES_POSTED'")
_HAD_FINDING = _has("reconciliation_findings", "its.run = $7")
_HAS_OPEN_FINDING = _has("reconciliation_findings", "NOT its.repaired AND its.resolved_at IS NULL")
_HAS_PERSONAL_DATA = " OR ".join(map(_has, PERSONAL_DATA))
# A subscription whose erasure has been certified for a week does not change any more, and the number of such
# subscriptions only grows. Each of them is checked in its turn, or if data or events do not match its end.
_PAGE = f"""
    SELECT subscription_id,
           sampled OR recorded_at >= $6 AND {_CHANGED} OR {_HAD_FINDING} OR {_HAS_OPEN_FINDING} AS queried
      FROM (SELECT *, mod(abs(mod(hashtextextended(subscription_id, 0), $3)) - $4 + $3, $3) < $5 AS sampled
              FROM subscriptions) AS each
     WHERE subscription_id > $1
       AND (state <> 'ERASED'
            OR sampled
            OR 2 > (SELECT count(*) FROM erasure_certificates AS issued
                     WHERE issued.subscription_id = each.subscription_id
                       AND issued.recorded_at < now() - interval '7 days')
            OR request_fingerprint IS NOT NULL
            OR sequence <> (SELECT count(*) FROM lifecycle_events AS event
                             WHERE event.subscription_id = each.subscription_id)
            OR {_HAS_PERSONAL_DATA})
     ORDER BY subscription_id LIMIT $2
"""  # noqa: S608 - the parts are constants


class PageProgress(Frozen):
    """The part of a page that has been checked: subscriptions up to the ID `after`."""

    after: str
    checked: int = 0
    found: int = 0
    queried: int = 0
    has_unexpected: bool = False


@dataclass(frozen=True)
class _Slice:
    """The records up to the ID `last`, and the running workflows in their range."""

    last: str
    records: Sequence[RecordSnapshot]
    failures: Sequence[MemberFailure]
    listed: Mapping[str, ListedWorkflow]
    """Those of the records. Other workflows are only looked for: they are checked after all records."""
    has_unexpected: bool


async def page_of_ids(pool: Pool, after: str, limit: int, scope: Scope) -> Mapping[str, bool]:
    """Return the next IDs in order, each with whether its workflow is queried in any case.

    It is queried in its turn, after a finding, and if an event other than monthly service fees was recorded
    since the last run. A workflow that lacks service fees posts them again, which changes nothing.
    """
    rows = await pool.fetch(
        _PAGE,
        *(after, limit, scope.nights, scope.turn, scope.share, scope.changed_since, scope.previous_run),
    )
    return {row["subscription_id"]: bool(row["queried"]) for row in rows}


async def check_record_page(
    context: ReconcileContext, after: str, heartbeats: Heartbeats
) -> ReconcilePageResult:
    """Check a page in slices. Another attempt continues after the last complete slice."""
    done = PageProgress.model_validate(heartbeats.progress or {"after": after})
    queried = await page_of_ids(context.pool, done.after, _PAGE_SIZE, context.scope)
    ids = list(queried)
    next_after = ids[-1] if len(ids) == _PAGE_SIZE else None
    async with aclosing(_load_slices(context, done.after, ids, next_after)) as slices:
        async for loaded in slices:
            done = await _check_slice(context, loaded, queried, done)
            heartbeats.send(done)
    return ReconcilePageResult(
        checked=done.checked,
        found=done.found,
        queried=done.queried,
        has_unexpected=done.has_unexpected,
        next_after=next_after,
    )


async def _load_slices(
    context: ReconcileContext, after: str, ids: Sequence[str], next_after: str | None
) -> AsyncGenerator[_Slice]:
    """Yield the slices in order; while one is checked, the servers already read the next one.

    Without a next page, the range of the last slice has no end.
    """
    slices = [ids[first : first + _SLICE_SIZE] for first in range(0, len(ids), _SLICE_SIZE)] or [[]]
    starts = [after, *(each[-1] for each in slices[:-1])]
    ends = [*starts[1:], next_after]
    loads = (
        asyncio.create_task(_load_slice(context, *bounds))
        for bounds in zip(starts, ends, slices, strict=True)
    )
    following = next(loads)
    try:
        for _ in slices:
            loaded = await following
            following = next(loads, following)
            yield loaded
    finally:
        following.cancel()


async def _load_slice(context: ReconcileContext, after: str, last: str | None, ids: Sequence[str]) -> _Slice:
    batch, wanted = Batch("reconcile"), frozenset(ids)
    listed: dict[str, ListedWorkflow] = {}
    has_unexpected = False
    async for workflows in list_range(context.client, after, last):
        listed |= {each.subscription_id: each for each in workflows if each.subscription_id in wanted}
        others = [each for each in workflows if each.subscription_id not in wanted]
        has_unexpected = has_unexpected or await _has_unexpected(context, others)
    records = await recorded_page(context.pool, ids, batch)
    return _Slice(ids[-1] if ids else after, records, batch.failures, listed, has_unexpected)


async def _check_slice(
    context: ReconcileContext, loaded: _Slice, queried: Mapping[str, bool], done: PageProgress
) -> PageProgress:
    erased = [record for record in loaded.records if record.is_erased]
    active = [record for record in loaded.records if not record.is_erased]
    due = [record for record in active if queried[record.id]]
    # Temporal answers their queries while the other records are screened.
    first_checks = asyncio.create_task(
        run_checks(
            [
                *(check_subscription(context, record) for record in (*due, *erased)),
                *(unreadable(context, failure) for failure in loaded.failures),
            ]
        )
    )
    try:
        doubtful = [
            record
            for record in active
            if not queried[record.id] and not await _is_sound(context, record, loaded.listed.get(record.id))
        ]
        checks = await first_checks
    finally:
        first_checks.cancel()
    checks += await run_checks(check_subscription(context, record) for record in doubtful)
    await update_attention(context, checks)
    still_running = [loaded.listed[record.id] for record in erased if record.id in loaded.listed]
    return PageProgress(
        after=loaded.last,
        checked=done.checked + len(loaded.records) + len(loaded.failures),
        found=done.found + sum(len(check.findings) for check in checks),
        queried=done.queried + len(due) + len(doubtful),
        has_unexpected=done.has_unexpected
        or loaded.has_unexpected
        or await _has_unexpected(context, still_running),
    )


async def _is_sound(context: ReconcileContext, record: RecordSnapshot, listed: ListedWorkflow | None) -> bool:
    await asyncio.sleep(0)  # Other activities share the event loop.
    return is_sound(context, record, listed)


async def _has_unexpected(context: ReconcileContext, workflows: Sequence[ListedWorkflow]) -> bool:
    return bool(workflows) and any(await unexpected_workflows(context, workflows))
