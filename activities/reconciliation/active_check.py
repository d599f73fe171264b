"""Check an active subscription: row, events and workflow must agree."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from activities.reconciliation import record_checks, repair, restore
from activities.reconciliation.catalogue_restore import restore_catalogues
from activities.reconciliation.context import ReconcileContext, SubscriptionCheck
from activities.reconciliation.history_reader import HistoryTransitions, transcript_of
from activities.reconciliation.record_snapshot import RecordSnapshot, recorded
from activities.reconciliation.workflow_probe import Blocker, WorkflowStatus
from adapters.postgres.subscription_repository import certify_histories
from subscription.activity_contracts import DeleteHistoriesInput
from subscription.billing_window import wake_time
from subscription.business_calendar import KST
from subscription.catalogue import PriceBook
from subscription.deadlines import next_deadline
from subscription.event_replay import without_transient_fields
from subscription.reconciliation import Finding, FindingCode
from subscription.state import Subscription

_LONG_PAST = timedelta(hours=1)


@dataclass(frozen=True)
class _Compared:
    """The record as it was read before its workflow settled, and after the workflow was asked again."""

    before: RecordSnapshot
    standing: WorkflowStatus
    settled: bool
    hindrance: Blocker | None
    now: RecordSnapshot
    transcript: HistoryTransitions


async def check_active(
    means: ReconcileContext, look: SubscriptionCheck, before: RecordSnapshot
) -> RecordSnapshot | None:
    """Compare it with its workflow; what the record has of it afterwards, None if it has nothing any more.

    What seems amiss is looked at once more when all that is due has been done: a subscription may be
    on a clock of its own, and a step may have been under way.
    """
    standing = await means.workflows.standing(before.id)
    if standing.state and not standing.hindrance and _is_well(means, before, standing.state):
        await _report_reset(look, standing)
        return before
    compared = await _compared(means, before, standing)
    if compared is None:
        return await recorded(means.pool, before.id)
    if compared.standing.state:
        await restore_catalogues(means, look)
    ended = compared.transcript.ended
    if ended and ended.erased_at:
        await _end(means, look, compared, ended, ended.erased_at)
    else:
        await _correct(means, look, compared)
        if not look.found:
            await _report_reset(look, standing)
    return await recorded(means.pool, before.id)


async def _report_reset(look: SubscriptionCheck, standing: WorkflowStatus) -> None:
    """Report a reset that has done no harm; one that has is found by what differs."""
    if standing.reset_at is None:
        return
    message = f"Its workflow was reset on {standing.reset_at.astimezone(KST):%Y-%m-%d %H:%M} KST."
    await look.says(
        Finding(
            subscription_id=look.subscription_id,
            code=FindingCode.WORKFLOW_RESET,
            message=message,
            repaired=True,
        )
    )


def _is_well(means: ReconcileContext, recorded: RecordSnapshot, workflow: Subscription) -> bool:
    told = repair.expected_state(recorded, workflow)
    return (
        told is not None
        and without_transient_fields(told) == without_transient_fields(workflow)
        and not recorded.differs_from(told)
        and recorded.names == repair.names_of(told).keys()
        and not _long_past(told, means.book)
    )


async def _compared(
    means: ReconcileContext, before: RecordSnapshot, first: WorkflowStatus
) -> _Compared | None:
    """None if the subscription has been erased meanwhile."""
    hindrance = first.hindrance
    if hindrance and hindrance.never_answers:
        settled, standing = False, first
    else:
        settled = await means.workflows.settled(before.id)
        standing = await means.workflows.standing(before.id)
        answers = settled and standing.state is not None
        hindrance = None if answers else await means.workflows.hindrance(before.id)
    # Read before the record, like all that the record must know of.
    transcript = HistoryTransitions() if standing.state else await transcript_of(means.histories, before.id)
    now = await recorded(means.pool, before.id)
    if now is None or now.is_erased:
        return None
    if standing.state and now.missing(standing.state.sequence):
        transcript = await transcript_of(means.histories, before.id)
    return _Compared(before, standing, settled, hindrance, now, transcript)


async def _end(
    means: ReconcileContext,
    look: SubscriptionCheck,
    compared: _Compared,
    ended: DeleteHistoriesInput,
    erased_at: datetime,
) -> None:
    message = (
        f"Its workflow ended on {erased_at:%Y-%m-%d %H:%M} KST, cancelled and erased; the record knows "
        f"nothing of that, and nothing else after event {compared.now.latest}."
    )

    async def erased() -> bool:
        done = await restore.record_end(
            means.pool, look.subscription_id, erased_at, means.book, means.workspaces
        )
        if done and not compared.standing.runs:
            await certify_histories(means.pool, look.subscription_id, len(ended.run_ids))
        return done

    await look.finds(FindingCode.END_MISSING, message, erased)


async def _correct(means: ReconcileContext, look: SubscriptionCheck, compared: _Compared) -> None:
    if await _restore_events(means, look, compared):
        await _correct_row(means, look, compared)
    await _correct_workflow(means, look, compared)


async def _restore_events(means: ReconcileContext, look: SubscriptionCheck, compared: _Compared) -> bool:
    """Whether the record has every event that it should have."""
    workflow = compared.standing.state
    # The row is believed only where nothing else tells how far it went.
    latest = workflow or compared.transcript.last_state or compared.now.snapshot
    missing = record_checks.missing_events(compared.now, latest.sequence if latest else 0)
    if missing is None:
        return True

    async def restored() -> bool:
        whole = await restore.restore_events(means.pool, look.subscription_id, compared.transcript, workflow)
        await restore.sync_workspace(means.pool, look.subscription_id, means.workspaces)
        return whole

    return await look.says(missing, restored)


async def _correct_row(means: ReconcileContext, look: SubscriptionCheck, compared: _Compared) -> None:
    now = await recorded(means.pool, look.subscription_id)
    assert now is not None
    workflow = compared.standing.state
    told = repair.expected_state(now, workflow)
    if told is None:
        if now.snapshot is None:
            await look.finds(FindingCode.UNREADABLE, "Its row cannot be read, and nothing else tells it.")
        return
    if workflow and workflow.sequence == now.latest and (fields := _differing(told, workflow)):
        message = f"Its events tell another {', '.join(fields)} than its workflow."
        await look.finds(FindingCode.WORKFLOW_DIFFERS, message)
        return
    differing = now.differs_from(told)
    if differing:
        message = f"The row differs from its events in {', '.join(differing)}."
        await look.finds(
            FindingCode.ROW_DIFFERS,
            message,
            lambda: repair.rewrite_row(means.pool, look.subscription_id, workflow),
        )
    if now.names != repair.names_of(told).keys():
        message = "It holds other account names than its own."
        await look.finds(
            FindingCode.NAME_DIFFERS, message, lambda: repair.hold_names(means.pool, look.subscription_id)
        )


def _differing(one: Subscription, other: Subscription) -> list[str]:
    return [
        name
        for name in Subscription.model_fields
        if getattr(without_transient_fields(one), name) != getattr(without_transient_fields(other), name)
    ]


async def _correct_workflow(means: ReconcileContext, look: SubscriptionCheck, compared: _Compared) -> None:
    standing, hindrance = compared.standing, compared.hindrance
    if not standing.runs:
        message = f"Its workflow was {standing.closed_as}."
        await look.finds(FindingCode.WORKFLOW_MISSING, message, lambda: _started(means, look.subscription_id))
    elif _is_behind(compared):
        assert standing.state is not None
        message = (
            f"The record has events up to {compared.before.latest}, the workflow up to "
            f"{standing.state.sequence}."
        )
        await look.finds(
            FindingCode.WORKFLOW_BEHIND,
            message,
            lambda: _started(means, look.subscription_id, instead=True),
        )
    elif hindrance and (hindrance.never_answers or not look.has_repaired):
        await look.finds(hindrance.code, hindrance.words)
    else:
        await _look_at_deadline(means, look, compared)


async def _started(means: ReconcileContext, subscription_id: str, *, instead: bool = False) -> bool:
    """Start a workflow, which goes on from the row, so only if that can be read."""
    now = await recorded(means.pool, subscription_id)
    if now is None or now.snapshot is None:
        return False
    return await means.workflows.start(subscription_id, instead=instead)


def _is_behind(compared: _Compared) -> bool:
    """Whether the workflow lacks what was recorded before it settled, or can record nothing any more."""
    workflow, hindrance = compared.standing.state, compared.hindrance
    if workflow is None or workflow.sequence >= compared.before.latest:
        return False
    return compared.settled or (hindrance is not None and hindrance.contradicts_the_record)


async def _look_at_deadline(means: ReconcileContext, look: SubscriptionCheck, compared: _Compared) -> None:
    before, now = (repair.expected_state(each, None) for each in (compared.before, compared.now))
    deadline = next_deadline(before) if before else None
    if before is None or now is None or deadline is None or not _long_past(before, means.book):
        return
    done = next_deadline(now) != deadline
    # By its own clock it may not be due yet, if it has settled and nothing has happened.
    if done or not compared.settled:
        message = f"{deadline.what} was due on {deadline.at:%Y-%m-%d %H:%M} KST and had not been done."
        await look.says(
            Finding(
                subscription_id=look.subscription_id,
                code=FindingCode.DEADLINE_LONG_PAST,
                message=message,
                repaired=done,
            )
        )


def _long_past(state: Subscription, book: PriceBook) -> bool:
    """By the real clock."""
    expected_at = wake_time(state, book)
    return expected_at is not None and expected_at < datetime.now(UTC) - _LONG_PAST
