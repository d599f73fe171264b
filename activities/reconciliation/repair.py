"""Repairs that use only the database, each under a row lock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asyncpg import RestrictViolationError, UniqueViolationError

from activities.erasure import delete_personal_data
from activities.reconciliation.record_snapshot import RecordSnapshot, recorded_within
from adapters.postgres import subscription_repository
from adapters.postgres.pool import Connection, Pool
from adapters.postgres.workspace_provisioner import WorkspaceProvisioner
from subscription.event_replay import rebuild_state
from subscription.request import AccountKind
from subscription.state import Subscription


@asynccontextmanager
async def lock_record(
    pool: Pool, subscription_id: str
) -> AsyncIterator[tuple[Connection, RecordSnapshot | None]]:
    """A transaction in which nobody else writes of this subscription, with what the record has of it."""
    async with pool.acquire() as connection, connection.transaction():
        await subscription_repository.lock_row_and_get_sequence(connection, subscription_id)
        yield connection, await recorded_within(connection, subscription_id)


def expected_state(recorded: RecordSnapshot, workflow: Subscription | None) -> Subscription | None:
    """What the row should show: the state by its events, and by the workflow what those do not tell.

    None while events are missing or nothing can be read that tells the rest.
    """
    # A workflow that has been overtaken since it was asked says less than the row.
    in_step = workflow is not None and workflow.sequence == recorded.latest
    events = recorded.readable_events
    if events is None:
        return workflow if in_step else None
    base = workflow if in_step else recorded.snapshot
    return rebuild_state(base, events) if base else None


async def rewrite_row(pool: Pool, subscription_id: str, workflow: Subscription | None) -> bool:
    """Make the row show the truth; whether it does."""
    async with lock_record(pool, subscription_id) as (connection, recorded):
        told = expected_state(recorded, workflow) if recorded else None
        if told is None:
            return False
        await subscription_repository.update_subscription(connection, told)
        return True


async def hold_names(pool: Pool, subscription_id: str) -> bool:
    """Hold the names of the row's state and no others; False if another subscription holds one."""
    async with lock_record(pool, subscription_id) as (connection, recorded):
        if recorded is None or recorded.snapshot is None:
            return False
        return await hold_names_of(connection, recorded, recorded.snapshot)


async def hold_names_of(connection: Connection, recorded: RecordSnapshot, state: Subscription) -> bool:
    """As `hold_names`, for this state and in the transaction of this connection."""
    names = names_of(state)
    await subscription_repository.release_names(
        connection, recorded.id, sorted(recorded.names - names.keys())
    )
    taken = [
        await subscription_repository.reserve_name(connection, recorded.id, name, kind)
        for name, kind in names.items()
    ]
    return all(taken)


def names_of(state: Subscription) -> dict[str, AccountKind]:
    """The account names that a subscription in this state holds (R5, R10)."""
    names = {}
    if state.account:
        names[state.account.name] = state.account.kind
    if state.rename_claim:
        names[state.rename_claim.name] = AccountKind.DOMAIN
    return names


async def insert_missing_lines(pool: Pool, subscription_id: str) -> bool:
    """Add the lines of recorded events that the ledger lacks; False if another line stands in the way."""
    try:
        async with lock_record(pool, subscription_id) as (connection, recorded):
            if recorded is None or recorded.snapshot is None:
                return False
            for sequence, event in recorded.events.items():
                missing = recorded.missing_lines(sequence, event)
                await subscription_repository.insert_lines(connection, recorded.snapshot, sequence, missing)
            return True
    except UniqueViolationError:
        return False


async def erase_again(pool: Pool, subscription_id: str, workspaces: WorkspaceProvisioner) -> bool:
    """Delete what names a person; the certificate of the first erasure stays (R31).

    False if the record contradicts itself: a row that cannot be read, and no certificate.
    """
    try:
        async with lock_record(pool, subscription_id) as (connection, recorded):
            if recorded is None or not recorded.is_erased:
                return False
            await delete_personal_data(connection, subscription_id, workspaces)
            return True
    except RestrictViolationError:
        return False
