"""Restoration of missing database records from workflow histories.

So a database that was restored from a backup catches up with what has happened since: every transition that
Temporal still has is written again, under its own number, and charges nothing twice.
"""

from collections.abc import Iterator
from datetime import datetime

from pydantic import ValidationError

from activities.erasure import erase_within
from activities.provisioning import save_contacts, save_domain_token
from activities.reconciliation.history_reader import HistoryTransitions
from activities.reconciliation.record_snapshot import recorded_within
from activities.reconciliation.repair import hold_names_of, lock_record
from adapters.postgres import subscription_repository
from adapters.postgres.pool import Connection, Pool
from adapters.postgres.workspace_provisioner import WorkspaceProvisioner, wanted_workspace
from subscription.activity_contracts import EraseInput, Transition
from subscription.apply import apply
from subscription.catalogue import PriceBook
from subscription.event_replay import cancellation_events, rebuild_state
from subscription.events import Erased, TrialStarted, equal_except_private
from subscription.request import Request
from subscription.state import Subscription
from subscription.validation import parse_strict


class HistoryConflictError(Exception):
    """The histories tell another life than the record: nothing of it is written."""


async def restore_row(
    pool: Pool, subscription_id: str, transcript: HistoryTransitions, workflow: Subscription | None
) -> bool:
    """Enter a subscription that the record does not have, and what can still be read of what happened to it.

    False if its request can no longer be read, or its request id is another subscription's now.
    """
    request, began = _request(transcript), transcript.begun
    if request is None or began is None:
        return False
    try:
        async with pool.acquire() as connection, connection.transaction():
            await subscription_repository.lock_subscription_id(connection, subscription_id)
            if await subscription_repository.snapshot(connection, subscription_id) is not None:
                return True
            if not await subscription_repository.insert_subscription(connection, began, request):
                return False
            await save_contacts(connection, subscription_id, request)
            await _restore_events(connection, subscription_id, transcript, workflow)
            return True
    except HistoryConflictError:
        return False


async def restore_people(pool: Pool, subscription_id: str, transcript: HistoryTransitions) -> bool:
    """Keep anew what the request said of people; False if it can no longer be read."""
    request = _request(transcript)
    if request is None:
        return False
    async with lock_record(pool, subscription_id) as (connection, recorded):
        if recorded is None or recorded.is_erased:
            return False
        await save_contacts(connection, subscription_id, request)
        return True


async def restore_events(
    pool: Pool, subscription_id: str, transcript: HistoryTransitions, workflow: Subscription | None
) -> bool:
    """Write the events that are missing and can still be read. Whether none is missing any more."""
    try:
        async with lock_record(pool, subscription_id) as (connection, _):
            return await _restore_events(connection, subscription_id, transcript, workflow)
    except HistoryConflictError:
        return False


async def sync_workspace(pool: Pool, subscription_id: str, workspaces: WorkspaceProvisioner) -> None:
    """Bring the product up to what the record now says of a subscription."""
    state = await subscription_repository.snapshot(pool, subscription_id)
    if state and state.account:
        await workspaces.put(wanted_workspace(state))


async def record_end(
    pool: Pool,
    subscription_id: str,
    ended_at: datetime,
    book: PriceBook,
    workspaces: WorkspaceProvisioner,
) -> bool:
    """Cancel and erase in the record what has been cancelled and erased, at the moment at which it was.

    The histories that said what it came to are gone, so it is reckoned from what the record knows. False if
    the record knows of something later.
    """
    async with lock_record(pool, subscription_id) as (connection, recorded):
        events = recorded.readable_events if recorded else None
        if recorded is None or recorded.snapshot is None or events is None:
            return False
        state = rebuild_state(recorded.snapshot, events)
        if state.last_at and state.last_at > ended_at:
            return False
        for event in cancellation_events(state, ended_at, book):
            state = apply(state, event)
            if isinstance(event, Erased):
                erase = EraseInput(
                    subscription_id=subscription_id, sequence=state.sequence, event=event, state=state
                )
                await erase_within(connection, erase, workspaces)
            else:
                await subscription_repository.insert_events(connection, state, state.sequence, (event,))
        return True


async def _restore_events(
    connection: Connection,
    subscription_id: str,
    transcript: HistoryTransitions,
    workflow: Subscription | None,
) -> bool:
    recorded = await recorded_within(connection, subscription_id)
    assert recorded is not None
    for transition in (*_beginning(transcript), *transcript.transitions):
        for sequence, event in enumerate(transition.events, start=transition.first_sequence):
            if sequence not in recorded.events:
                by = transition.asked_by(sequence)
                await subscription_repository.insert_event(connection, transition.state, sequence, event, by)
                missing = recorded.missing_lines(sequence, event)
                await subscription_repository.insert_lines(connection, transition.state, sequence, missing)
            elif (known := recorded.events[sequence]) and not equal_except_private(known, event):
                raise HistoryConflictError
        if transition.answer:
            last = transition.first_sequence - 1 + len(transition.events)
            await subscription_repository.save_answer(connection, subscription_id, last, transition.answer)
    return await _show(connection, subscription_id, [workflow, transcript.last_state])


async def _show(connection: Connection, subscription_id: str, known: list[Subscription | None]) -> bool:
    """Bring the row up to the latest state that is known; whether every event that led to it is there.

    Where some are in no history any more the life goes on all the same, and they stay missing.
    """
    recorded = await recorded_within(connection, subscription_id)
    assert recorded is not None
    states = [state for state in (*known, recorded.snapshot) if state is not None]
    state = max(states, key=lambda state: state.sequence, default=None)
    if state is None or state.sequence < recorded.latest:
        return False
    events, missing = recorded.readable_events, recorded.missing(state.sequence)
    if events is not None and not missing and rebuild_state(state, events) != state:
        raise HistoryConflictError
    await subscription_repository.update_subscription(connection, state)
    await hold_names_of(connection, recorded, state)
    for claim in state.claims:
        await save_domain_token(connection, subscription_id, claim.name, claim.token)
    return not missing


def _beginning(transcript: HistoryTransitions) -> Iterator[Transition]:
    """What a subscription begins with, as it would have been recorded by a transition."""
    request, began = _request(transcript), transcript.begun
    if request is None or began is None:
        return
    assert began.started_at is not None
    assert began.trial_ends_at is not None
    assert began.grace_ends_at is not None
    started = TrialStarted(
        at=began.started_at,
        trial_ends_at=began.trial_ends_at,
        grace_ends_at=began.grace_ends_at,
        agreed_terms=request.agreed_terms,
        claim=began.claim,
    )
    yield Transition(
        subscription_id=began.subscription_id, first_sequence=1, events=(started,), state=began, edition=0
    )


def _request(transcript: HistoryTransitions) -> Request | None:
    try:
        return parse_strict(Request, dict(transcript.request)) if transcript.request else None
    except ValidationError:
        return None
