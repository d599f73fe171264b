"""Repairs that use only the database, each under a row lock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asyncpg import RestrictViolationError, UniqueViolationError

from activities.erasure import delete_personal_data
from activities.reconciliation.record_snapshot import RecordSnapshot, load_record_within
from adapters.postgres import account_name_repository, subscription_repository
from adapters.postgres.account_name_repository import NameStatus
from adapters.postgres.pool import Connection, Pool
from adapters.postgres.workspace_provisioner import WorkspaceProvisioner
from subscription.account import AccountKind
from subscription.catalogue import PriceBook
from subscription.event_replay import Replay, rebuild_state, replay
from subscription.state import Subscription


@asynccontextmanager
async def lock_record(
    pool: Pool, subscription_id: str
) -> AsyncIterator[tuple[Connection, RecordSnapshot | None]]:
    """Open a transaction with a row lock on the subscription; yield it with the subscription's record."""
    async with pool.acquire() as connection, connection.transaction():
        await subscription_repository.lock_row_and_get_sequence(connection, subscription_id)
        yield connection, await load_record_within(connection, subscription_id)


def replayed(record: RecordSnapshot, book: PriceBook) -> Replay | None:
    """Return the state that the events and the row give, with the charges that differ from the rules.

    Return None if an event is missing or unreadable, or if the row cannot be read.
    """
    events = record.readable_events
    return replay(record.snapshot, events, book) if events is not None and record.snapshot else None


def expected_state(record: RecordSnapshot, workflow: Subscription | None) -> Subscription | None:
    """Return the state that the row should have, rebuilt from the events.

    Fields that the events do not contain come from the workflow or from the row. While events are missing or
    unreadable, return the state of the workflow, or None if that is not current.
    """
    # A workflow behind the latest event was inspected before that event; the row is newer.
    is_current = workflow is not None and workflow.sequence == record.latest
    events = record.readable_events
    if events is None:
        return workflow if is_current else None
    base = workflow if is_current else record.snapshot
    return rebuild_state(base, events) if base else None


async def rewrite_row(pool: Pool, subscription_id: str, workflow: Subscription | None) -> bool:
    """Rewrite the row with the expected state; return False if that is unknown."""
    async with lock_record(pool, subscription_id) as (connection, record):
        state = expected_state(record, workflow) if record else None
        if state is None:
            return False
        await subscription_repository.update_subscription(connection, state)
        return True


async def reserve_names(pool: Pool, subscription_id: str) -> bool:
    """Take exactly the names of the row's state; return False if another subscription holds one."""
    async with lock_record(pool, subscription_id) as (connection, record):
        if record is None or record.snapshot is None:
            return False
        return await reserve_names_of(connection, record, record.snapshot)


async def reserve_names_of(connection: Connection, record: RecordSnapshot, state: Subscription) -> bool:
    """Take exactly the names of this state, in the transaction of this connection."""
    names = names_of(state)
    surplus = sorted(record.names.keys() - names.keys())
    await account_name_repository.release_names(connection, record.id, surplus)
    return all([await _take_name(connection, record, state, name, names[name]) for name in names])


async def _take_name(
    connection: Connection, record: RecordSnapshot, state: Subscription, name: str, status: NameStatus
) -> bool:
    if status != "HELD":
        if not _has_status(record, name, status):
            await account_name_repository.set_domain_status(connection, record.id, name, status)
        return True
    if state.account and state.account.kind is AccountKind.GROUP:
        return await account_name_repository.hold_group_name(connection, record.id, name)
    return await account_name_repository.hold_domain(connection, record.id, name)


def has_names_of(record: RecordSnapshot, state: Subscription) -> bool:
    """Return whether the record has exactly the names of this state."""
    names = names_of(state)
    return record.names.keys() == names.keys() and all(
        _has_status(record, name, status) for name, status in names.items()
    )


def _has_status(record: RecordSnapshot, name: str, status: NameStatus) -> bool:
    """Return whether the name has this status.

    A claim may already be marked as lost: the subscription records the loss at its next check.
    """
    return record.names.get(name) in (("CLAIMED", "LOST") if status == "CLAIMED" else (status,))


def names_of(state: Subscription) -> dict[str, NameStatus]:
    """Return the account names of a subscription in this state, each with its status (R5, R10, R12)."""
    names: dict[str, NameStatus] = {}
    if state.account:
        names[state.account.name] = (
            "LOST" if state.domain_lost else "CLAIMED" if state.pending_domain else "HELD"
        )
    if state.pending_rename_domain:
        names[state.pending_rename_domain.name] = "CLAIMED"
    return names


async def insert_missing_lines(pool: Pool, subscription_id: str) -> bool:
    """Insert missing ledger lines of recorded events; return False if another line has the same key."""
    try:
        async with lock_record(pool, subscription_id) as (connection, record):
            if record is None or record.snapshot is None:
                return False
            for sequence, event in record.events.items():
                missing = record.missing_lines(sequence, event)
                await subscription_repository.insert_lines(connection, record.snapshot, sequence, missing)
            return True
    except UniqueViolationError:
        return False


async def count_members(pool: Pool, subscription_id: str) -> bool:
    """Count the members of the row again; return False if there is no row."""
    async with lock_record(pool, subscription_id) as (connection, record):
        if record is None:
            return False
        await subscription_repository.count_members(connection, subscription_id)
        return True


async def erase_again(pool: Pool, subscription_id: str, workspaces: WorkspaceProvisioner) -> bool:
    """Delete remaining personal data; the certificate of the first erasure stays (R31).

    Return False if the record contradicts itself: an unreadable row and no certificate.
    """
    try:
        async with lock_record(pool, subscription_id) as (connection, record):
            if record is None or not record.is_erased:
                return False
            await delete_personal_data(connection, subscription_id, workspaces)
            return True
    except RestrictViolationError:
        return False
