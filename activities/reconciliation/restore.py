"""Restoration of missing database records from workflow histories.

A database restored from a backup thereby catches up: every transition that Temporal still has is written
again with its original sequence number. The unique keys prevent duplicate charges.
"""

from collections.abc import Iterator
from datetime import datetime

from pydantic import ValidationError

from activities.erasure import erase_within
from activities.provisioning import save_contacts, save_domain_token
from activities.reconciliation.history_reader import HistoryTransitions
from activities.reconciliation.record_snapshot import load_record_within
from activities.reconciliation.repair import lock_record, reserve_names_of
from adapters.postgres import recorded_subscription, subscription_repository
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
    """The histories contradict the database; the transaction is rolled back."""


async def restore_row(
    pool: Pool, subscription_id: str, history: HistoryTransitions, workflow: Subscription | None
) -> bool:
    """Insert a subscription that the database lacks, with the transitions that can still be read.

    Return False if its request is unreadable, or if another subscription now uses its request ID.
    """
    request, initial_state = _request(history), history.provisioned_state
    if request is None or initial_state is None:
        return False
    try:
        async with pool.acquire() as connection, connection.transaction():
            await subscription_repository.lock_subscription_id(connection, subscription_id)
            if await recorded_subscription.snapshot(connection, subscription_id) is not None:
                return True
            if not await subscription_repository.insert_subscription(connection, initial_state, request):
                return False
            await save_contacts(connection, subscription_id, request)
            await _restore_events(connection, subscription_id, history, workflow)
            return True
    except HistoryConflictError:
        return False


async def restore_contacts(pool: Pool, subscription_id: str, history: HistoryTransitions) -> bool:
    """Restore administrator and company from the request; return False if it is unreadable."""
    request = _request(history)
    if request is None:
        return False
    async with lock_record(pool, subscription_id) as (connection, record):
        if record is None or record.is_erased:
            return False
        await save_contacts(connection, subscription_id, request)
        return True


async def restore_events(
    pool: Pool, subscription_id: str, history: HistoryTransitions, workflow: Subscription | None
) -> bool:
    """Write the missing events that can still be read; return whether the record is complete."""
    try:
        async with lock_record(pool, subscription_id) as (connection, _):
            return await _restore_events(connection, subscription_id, history, workflow)
    except HistoryConflictError:
        return False


async def sync_workspace(pool: Pool, subscription_id: str, workspaces: WorkspaceProvisioner) -> None:
    """Update the workspace of the product to the recorded state."""
    state = await recorded_subscription.snapshot(pool, subscription_id)
    if state and state.account:
        await workspaces.put(wanted_workspace(state))


async def record_end(
    pool: Pool,
    subscription_id: str,
    ended_at: datetime,
    book: PriceBook,
    workspaces: WorkspaceProvisioner,
) -> bool:
    """Record a cancellation and erasure that the database missed, with its original time.

    The histories are deleted, so the last charges are calculated from the record. Return False if the record
    has a later event.
    """
    async with lock_record(pool, subscription_id) as (connection, record):
        events = record.readable_events if record else None
        if record is None or record.snapshot is None or events is None:
            return False
        state = rebuild_state(record.snapshot, events)
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
    history: HistoryTransitions,
    workflow: Subscription | None,
) -> bool:
    record = await load_record_within(connection, subscription_id)
    assert record is not None
    for transition in (*_first_transition(history), *history.transitions):
        for sequence, event in enumerate(transition.events, start=transition.first_sequence):
            if sequence not in record.events:
                issuer = transition.issuer(sequence)
                await subscription_repository.insert_event(
                    connection, transition.state, sequence, event, issuer
                )
                missing = record.missing_lines(sequence, event)
                await subscription_repository.insert_lines(connection, transition.state, sequence, missing)
            elif (known := record.events[sequence]) and not equal_except_private(known, event):
                raise HistoryConflictError
        if transition.answer:
            last = transition.first_sequence - 1 + len(transition.events)
            await subscription_repository.save_answer(connection, subscription_id, last, transition.answer)
    return await _update_row(connection, subscription_id, [workflow, history.last_state])


async def _update_row(connection: Connection, subscription_id: str, known: list[Subscription | None]) -> bool:
    """Update the row to the latest known state; return whether every event up to it is recorded.

    Events that no history contains stay missing; the subscription continues nevertheless.
    """
    record = await load_record_within(connection, subscription_id)
    assert record is not None
    states = [state for state in (*known, record.snapshot) if state is not None]
    state = max(states, key=lambda state: state.sequence, default=None)
    if state is None or state.sequence < record.latest:
        return False
    events, missing = record.readable_events, record.missing(state.sequence)
    if events is not None and not missing and rebuild_state(state, events) != state:
        raise HistoryConflictError
    await subscription_repository.update_subscription(connection, state)
    await reserve_names_of(connection, record, state)
    for domain in state.pending_domains:
        await save_domain_token(connection, subscription_id, domain.name, domain.token)
    return not missing


def _first_transition(history: HistoryTransitions) -> Iterator[Transition]:
    """Yield the first transition of a subscription, rebuilt from its request."""
    request, initial_state = _request(history), history.provisioned_state
    if request is None or initial_state is None:
        return
    assert initial_state.started_at is not None
    assert initial_state.trial_ends_at is not None
    assert initial_state.grace_ends_at is not None
    started = TrialStarted(
        at=initial_state.started_at,
        trial_ends_at=initial_state.trial_ends_at,
        grace_ends_at=initial_state.grace_ends_at,
        agreed_terms=request.agreed_terms,
        pending_domain=initial_state.pending_domain,
    )
    yield Transition(
        subscription_id=initial_state.subscription_id,
        first_sequence=1,
        events=(started,),
        state=initial_state,
        revision=0,
        issuers=(request.recorded_issuer,),
    )


def _request(history: HistoryTransitions) -> Request | None:
    try:
        return parse_strict(Request, dict(history.request)) if history.request else None
    except ValidationError:
        return None
