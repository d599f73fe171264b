"""A page of subscriptions in the database, compared with the running workflows in its range of IDs."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from activities.batch import Batch
from activities.erasure import PERSONAL_DATA
from activities.reconciliation.context import ReconcileContext, run_checks, unreadable
from activities.reconciliation.heartbeats import Heartbeats
from activities.reconciliation.listed_workflows import ListedWorkflow, list_range
from activities.reconciliation.ordered_steps import run_in_order
from activities.reconciliation.orphan_check import unexpected_workflows
from activities.reconciliation.record_snapshot import RecordSnapshot, recorded_page
from activities.reconciliation.scope import Scope
from activities.reconciliation.screening import is_sound
from activities.reconciliation.subscription_check import check_subscription, update_attention
from adapters.postgres.pool import Pool
from subscription.model import Frozen
from subscription.reconciliation import ReconcilePageResult

_PAGE_SIZE = 5000
_SLICE_SIZE = 250
# The servers read one slice while the worker screens another and Temporal answers the queries of a third one.
_CONCURRENT_SLICES = 3
# Screening them takes about a millisecond, for which other activities wait.
_SCREENED_AT_ONCE = 4


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


@dataclass(frozen=True)
class _Slice:
    """Subscriptions of a page, and the range of IDs: `after` < ID <= `last`, or without end."""

    after: str
    last: str | None
    queried: Mapping[str, bool]
    """Each ID, with whether its workflow is queried in any case."""


class PageProgress(Frozen):
    """The part of a page that has been checked: subscriptions up to the ID `after`."""

    after: str
    checked: int = 0
    found: int = 0
    queried: int = 0
    has_unexpected: bool = False

    def with_slice(self, checked: "PageProgress") -> "PageProgress":
        """Return the progress after another slice, the one that follows this part."""
        return PageProgress(
            after=checked.after,
            checked=self.checked + checked.checked,
            found=self.found + checked.found,
            queried=self.queried + checked.queried,
            has_unexpected=self.has_unexpected or checked.has_unexpected,
        )


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
    next_after = list(queried)[-1] if len(queried) == _PAGE_SIZE else None
    reading = asyncio.Lock()
    steps = (_check_slice(context, each, reading) for each in _slices(done.after, queried, next_after))
    async with aclosing(run_in_order(steps, _CONCURRENT_SLICES)) as results:
        async for checked in results:
            done = done.with_slice(checked)
            heartbeats.send(done)
    return ReconcilePageResult(
        checked=done.checked,
        found=done.found,
        queried=done.queried,
        has_unexpected=done.has_unexpected,
        next_after=next_after,
    )


def _slices(after: str, queried: Mapping[str, bool], next_after: str | None) -> Iterator[_Slice]:
    """Yield the slices of a page in order. Without a next page, the range of the last one has no end."""
    ids = list(queried)
    parts = [ids[first : first + _SLICE_SIZE] for first in range(0, len(ids), _SLICE_SIZE)] or [[]]
    ends = [*(members[-1] for members in parts[:-1]), next_after]
    for members, last in zip(parts, ends, strict=True):
        yield _Slice(after, last, {each: queried[each] for each in members})
        after = last or after


async def _check_slice(context: ReconcileContext, part: _Slice, reading: asyncio.Lock) -> PageProgress:
    """Check a slice. The slices are read one after another, so that the first one can be checked early."""
    batch, queried = Batch("reconcile"), part.queried
    async with reading:
        (listed, has_unexpected), records = await asyncio.gather(
            _list_slice(context, part), recorded_page(context.pool, list(queried), batch)
        )
    checked = len(records) + len(batch.failures)
    due = [record for record in records if queried[record.id]]
    # Temporal answers their queries while the other records are screened.
    first_checks = asyncio.create_task(
        run_checks(
            context,
            [
                *(check_subscription(context, record) for record in due),
                *(unreadable(context, failure) for failure in batch.failures),
            ],
        )
    )
    try:
        unscreened = [record for record in records if not queried[record.id]]
        records.clear()
        doubtful = await _doubtful(context, unscreened, listed)
        checks = await first_checks
    finally:
        first_checks.cancel()
    checks += await run_checks(context, [check_subscription(context, record) for record in doubtful])
    await update_attention(context, checks)
    erased = [record for record in (*due, *doubtful) if record.is_erased]
    still_running = [listed[record.id] for record in erased if record.id in listed]
    return PageProgress(
        after=[part.after, *queried][-1],
        checked=checked,
        found=sum(len(check.findings) for check in checks),
        queried=len(due) + len(doubtful) - len(erased),
        has_unexpected=has_unexpected or await _has_unexpected(context, still_running),
    )


async def _list_slice(context: ReconcileContext, part: _Slice) -> tuple[Mapping[str, ListedWorkflow], bool]:
    """Return the running workflows of the subscriptions, and whether there are unexpected ones.

    Unexpected workflows are only looked for: they are checked after all records.
    """
    listed: dict[str, ListedWorkflow] = {}
    has_unexpected = False
    async for workflows in list_range(context.client, part.after, part.last):
        listed |= {each.subscription_id: each for each in workflows if each.subscription_id in part.queried}
        others = [each for each in workflows if each.subscription_id not in part.queried]
        has_unexpected = has_unexpected or await _has_unexpected(context, others)
    return listed, has_unexpected


async def _doubtful(
    context: ReconcileContext, records: list[RecordSnapshot], listed: Mapping[str, ListedWorkflow]
) -> list[RecordSnapshot]:
    """Empty the list, and return the records that need the complete check: doubtful and erased ones.

    A sound record is released at once. Otherwise its parsed events would stay until the end of the slice, and
    the garbage collector would traverse them several times.
    """
    doubtful = []
    records.reverse()
    while records:
        record = records.pop()
        if record.is_erased or not is_sound(context, record, listed.get(record.id)):
            doubtful.append(record)
        if len(records) % _SCREENED_AT_ONCE == 0:
            await asyncio.sleep(0)  # Other activities share the event loop.
    return doubtful


async def _has_unexpected(context: ReconcileContext, workflows: Sequence[ListedWorkflow]) -> bool:
    return bool(workflows) and any(await unexpected_workflows(context, workflows))
