"""Bulk runs: dry run, start, progress, results, and their control."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from temporalio.client import Client
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from adapters.postgres import bulk_runs
from adapters.postgres.bulk_runs import NewBulkRun
from adapters.postgres.pool import Pool
from adapters.postgres.read_only_pool import ReadOnlyPool
from adapters.temporal.retry import with_retries
from starter.recorded_state_queries import RecordedState
from starter.selection import Selection
from starter.subscription_clock import supports_test_clocks
from subscription.bulk import (
    BULK_WORKFLOW_PREFIX,
    DEFAULT_RATE,
    BulkEffect,
    BulkInput,
    BulkOutcome,
    BulkPreview,
    BulkResult,
    BulkRun,
    BulkState,
    argument_of,
    in_turns,
    preview_of,
)
from subscription.bulk_effects import effect_of, unknown_effect
from subscription.business_calendar import KST
from subscription.catalogue import PriceBook
from subscription.commands import Command
from subscription.ids import is_opaque_id
from subscription.refusals import RefusalCode, refusal
from subscription.state import Subscription

if TYPE_CHECKING:
    from starter.client import SubscriptionClient

_PAGE = 50
"""Subscriptions between two interruptions of a dry run, in which the process serves other requests."""
_BULK_PRIORITY = Priority(priority_key=5)


class DryRun(NamedTuple):
    """The effects of a command, in the order of the list, and their sums. Nothing is started."""

    command: Command
    revision: int
    effects: tuple[BulkEffect, ...]
    summary: BulkPreview


class BulkRuns:
    """Bulk runs, for operators: see `SubscriptionClient.bulk_runs`.

    `pool` may insert runs. `most` is the largest list of a dry run. Every method raises `RefusalError` if the
    rules refuse the call.
    """

    def __init__(
        self,
        client: "SubscriptionClient",
        temporal: Client,
        reader: ReadOnlyPool,
        pool: Pool,
        *,
        most: int,
        task_queue: str,
    ) -> None:
        self._client = client
        self._temporal = temporal
        self._reader = reader
        self._pool = pool
        self._most = most
        self._task_queue = task_queue

    # -- dry run and start ---------------------------------------------------------------------------

    async def preview(
        self,
        command: Command,
        selection: Selection,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> DryRun:
        """Return the effects of the command on all selected subscriptions.

        `report` is called with the number of previewed and of all subscriptions. Raises `InvalidQueryError`.
        """
        ids = await self._client.select_ids(selection, limit=self._most + 1)
        if len(ids) > self._most:
            raise refusal(RefusalCode.TOO_MANY_SELECTED, "select", most=self._most)
        book, effects = await self._client.price_book(), list[BulkEffect]()
        clock = self._test_clock if await supports_test_clocks(self._temporal) else _real_time
        for first in range(0, len(ids), _PAGE):
            page = ids[first : first + _PAGE]
            recorded = await self._client.recorded_states(page, book)
            effects += await asyncio.gather(
                *(_effect(id, recorded.get(id), command, book, clock) for id in page)
            )
            report(len(effects), len(ids))
            await asyncio.sleep(0)
        ordered = in_turns(effects)
        return DryRun(command, book.revision, ordered, preview_of(command, book.revision, ordered))

    async def start(
        self,
        command: Command,
        selection: Selection,
        *,
        preview: str,
        confirmation: str | None = None,
        run_id: str | None = None,
        rate: int = DEFAULT_RATE,
        issued_by: str | None = None,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> BulkRun:
        """Start a run exactly as its dry run has shown; by default, the hash of the dry run is the run's ID.

        Idempotent: starting the same preview again under the same ID returns the existing run.
        """
        run_id = run_id or preview
        if not is_opaque_id(run_id):
            raise refusal(RefusalCode.INVALID_ID, "id")
        existing = await bulk_runs.preview_of_run(self._reader, run_id)
        if existing is None:
            dry_run = await self.preview(command, selection, report)
            _check_confirmed(dry_run.summary, preview, confirmation)
            run = NewBulkRun(
                run_id=run_id,
                preview=preview,
                command=command.name,
                argument=argument_of(command),
                revision=dry_run.revision,
                rate=rate,
                issued_by=issued_by,
            )
            if not await bulk_runs.insert_run(self._pool, run, dry_run.effects):
                existing = await bulk_runs.preview_of_run(self._reader, run_id)
        if existing not in (None, preview):
            raise refusal(RefusalCode.COMMAND_ID_REUSED, "id")
        await self._ensure_started(run_id)
        return await self.run(run_id)

    async def _ensure_started(self, run_id: str) -> None:
        """Start the workflow of a stored run, unless it is running or completed."""
        [run] = await bulk_runs.list_runs(self._reader, run_id=run_id, limit=1)
        if run.state.has_ended:
            return
        with contextlib.suppress(WorkflowAlreadyStartedError):
            await self._temporal.start_workflow(
                "BulkWorkflow",
                BulkInput(run_id=run_id, rate=run.rate, state=run.state),
                id=f"{BULK_WORKFLOW_PREFIX}{run_id}",
                task_queue=self._task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                priority=_BULK_PRIORITY,
                static_summary=f"{run.command} for {run.subscriptions:,} subscriptions",
            )

    async def _test_clock(self, state: Subscription) -> datetime:
        """Return the time of the subscription's clock, which a development server can advance (R33)."""
        try:
            return (await self._client.clock(state.subscription_id).now()).astimezone(KST)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return datetime.now(KST)

    # -- progress and results ------------------------------------------------------------------------

    async def run(self, run_id: str) -> BulkRun:
        runs = await bulk_runs.list_runs(self._reader, run_id=run_id, limit=1)
        if not runs:
            raise refusal(RefusalCode.BULK_RUN_NOT_FOUND, "run_id")
        return runs[0]

    async def runs(self, *, skip: int = 0, limit: int = 50) -> list[BulkRun]:
        """Return the runs with their progress, the latest first."""
        return await bulk_runs.list_runs(self._reader, skip=skip, limit=limit)

    async def results(
        self,
        run_id: str,
        *,
        outcome: BulkOutcome | None = None,
        after: int = 0,
        limit: int = 200,
    ) -> list[BulkResult]:
        """Return the results of a run after a position, in the order of its list."""
        found = await bulk_runs.list_results(self._reader, run_id, after=after, limit=limit, outcome=outcome)
        if not found:
            await self.run(run_id)
        return found

    # -- control -----------------------------------------------------------------------------------------

    async def pause(self, run_id: str) -> BulkRun:
        """Pause a run and return it. Commands in flight are finished."""
        return await self._control(run_id, "pause")

    async def resume(self, run_id: str) -> BulkRun:
        """Resume a paused run and return it; also one whose workflow was terminated or never started."""
        await self.run(run_id)
        await self._ensure_started(run_id)
        return await self._control(run_id, "resume")

    async def stop(self, run_id: str) -> BulkRun:
        """Stop a run for ever and return it. The subscriptions without an outcome get no command."""
        return await self._control(run_id, "stop")

    async def _control(self, run_id: str, update: str) -> BulkRun:
        if (await self.run(run_id)).state.has_ended:
            raise refusal(RefusalCode.BULK_RUN_ENDED)
        handle: Any = self._temporal.get_workflow_handle(f"{BULK_WORKFLOW_PREFIX}{run_id}")
        try:
            state = await with_retries(lambda: handle.execute_update(update, result_type=BulkState))
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            raise refusal(RefusalCode.BULK_RUN_ENDED) from None
        if state is BulkState.COMPLETED:
            raise refusal(RefusalCode.BULK_RUN_ENDED)
        return await self.run(run_id)


def _check_confirmed(shown: BulkPreview, preview: str, confirmation: str | None) -> None:
    if shown.preview != preview:
        raise refusal(RefusalCode.PREVIEW_OUTDATED, "preview", reason="BULK")
    if shown.confirmation is not None and confirmation != shown.confirmation:
        raise refusal(RefusalCode.CONFIRMATION_DIFFERS, "confirm", reason="BULK", expected=shown.confirmation)


async def _real_time(_: Subscription) -> datetime:
    return datetime.now(KST)


async def _effect(
    subscription_id: str,
    recorded: RecordedState | None,
    command: Command,
    book: PriceBook,
    clock: Callable[[Subscription], Awaitable[datetime]],
) -> BulkEffect:
    if recorded is None:
        return unknown_effect(subscription_id, datetime.now(UTC))
    state = recorded.state
    now = datetime.now(KST) if state.state.is_terminal else await clock(state)
    now = max(now, state.last_at) if state.last_at else now
    return effect_of(state, command, now, book, recorded.members_in_use)
