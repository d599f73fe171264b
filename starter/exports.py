"""Exports of subscriptions: a consistent, streamed archive of everything that is kept (R37)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

import asyncpg

from adapters.export_archive import write_archive
from adapters.postgres.pool import Pool
from adapters.postgres.subscription_export import (
    domain_tokens,
    export_row_sets,
    export_state,
    record_export,
)
from adapters.postgres.workspace_exporter import PostgresWorkspaceExporter, WorkspaceExporter
from starter.queries import no_such_subscription
from subscription.refusals import RefusalCode, refusal
from subscription.state import State
from subscription.validation import is_storable

_ACQUIRE_SECONDS = 5
_MAX_SECONDS = 600
# A reader that takes no piece for so long loses its snapshot, which would otherwise delay VACUUM.
_LIMIT_IDLE_TIME = "SET LOCAL idle_in_transaction_session_timeout = '60s'"


class ExportTimeoutError(Exception):
    """The reader of an archive was too slow, and the archive is incomplete."""

    def __init__(self) -> None:
        super().__init__(f"The export has taken longer than {_MAX_SECONDS // 60} minutes. Try again.")


class SubscriptionExports:
    """Exports, through a pool in the role `worksub_exporter`, whose size limits concurrent exports."""

    def __init__(self, pool: Pool, product: WorkspaceExporter | None = None) -> None:
        self._pool = pool
        self._product = product or PostgresWorkspaceExporter()

    async def archive(self, subscription_id: str, customer_id: str | None = None) -> AsyncGenerator[bytes]:
        """Yield the zip archive of a subscription in pieces; with `customer_id`, only of this customer's.

        All files are of one database snapshot. The export is recorded when the last piece has been taken.

        Raises `RefusalError` before the first piece if there is no such subscription or it is erased, and
        `ExportTimeoutError` or a database error after any piece: the archive is then incomplete.
        """
        if not is_storable(subscription_id):
            raise no_such_subscription()
        deadline = asyncio.get_running_loop().time() + _MAX_SECONDS
        async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await connection.execute(_LIMIT_IDLE_TIME)
                found = await export_state(connection, subscription_id, customer_id)
                if found is None:
                    raise no_such_subscription()
                state, taken_at = found
                if state is State.ERASED:
                    raise refusal(RefusalCode.DATA_ERASED)
                row_sets = await export_row_sets(connection, subscription_id, self._product)
                secrets = await domain_tokens(connection, subscription_id)
                async with aclosing(write_archive(subscription_id, taken_at, row_sets, secrets)) as pieces:
                    async for piece in pieces:
                        yield piece
                        if asyncio.get_running_loop().time() > deadline:
                            raise ExportTimeoutError
            # Refused if the subscription was erased since the snapshot.
            with suppress(asyncpg.RestrictViolationError):
                await record_export(connection, subscription_id)
