"""Exports of subscriptions: a consistent, streamed archive of everything that is kept (R37)."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import TYPE_CHECKING

import asyncpg

from adapters.export_archive import write_archive
from adapters.postgres.pool import Connection, Pool
from adapters.postgres.subscription_export import (
    ExportSubject,
    domain_tokens,
    export_row_sets,
    export_subject,
    record_export,
)
from adapters.postgres.workspace_exporter import PostgresWorkspaceExporter, WorkspaceExporter
from starter.scoped_queries import no_such_subscription
from subscription.refusals import RefusalCode, refusal
from subscription.state import State
from subscription.validation import is_storable

if TYPE_CHECKING:
    from starter.command_rate_limits import CommandRates

_ACQUIRE_SECONDS = 5
_MAX_SECONDS = 600
_MAX_PER_CUSTOMER = 2
# A reader that takes no piece for so long loses its snapshot, which would otherwise delay VACUUM.
_LIMIT_IDLE_TIME = "SET LOCAL idle_in_transaction_session_timeout = '60s'"


class ExportTimeoutError(Exception):
    """The reader of an archive was too slow, and the archive is incomplete."""

    def __init__(self) -> None:
        super().__init__(f"The export has taken longer than {_MAX_SECONDS // 60} minutes. Try again.")


class TooManyExportsError(Exception):
    """The customer already has as many exports in progress as one may have; retry when one has ended."""


class SubscriptionExports:
    """Exports, through a pool in the role `worksub_exporter`, whose size limits concurrent exports.

    `rates` limits the exports of each subscription.
    """

    def __init__(
        self, pool: Pool, product: WorkspaceExporter | None = None, rates: "CommandRates | None" = None
    ) -> None:
        self._pool = pool
        self._product = product or PostgresWorkspaceExporter()
        self._rates = rates
        self._in_progress: Counter[str] = Counter()

    async def archive(self, subscription_id: str, customer_id: str | None = None) -> AsyncGenerator[bytes]:
        """Yield the zip archive of a subscription in pieces; with `customer_id`, only of this customer's.

        All files are of one database snapshot. The export is recorded when the last piece has been taken.

        Raises before the first piece: `RefusalError` if there is no such subscription or it is erased,
        `TooManyExportsError`, and `TooManyCommandsError` if the rate limit is exceeded. Raises after any
        piece: `ExportTimeoutError` or a database error. The archive is then incomplete.
        """
        deadline = asyncio.get_running_loop().time() + _MAX_SECONDS
        async with self._pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await connection.execute(_LIMIT_IDLE_TIME)
                subject = await self._subject(connection, subscription_id, customer_id)
                with self._slot(subject.customer_id):
                    row_sets = await export_row_sets(connection, subscription_id, self._product)
                    secrets = await domain_tokens(connection, subscription_id)
                    archive = write_archive(subscription_id, subject.now, row_sets, secrets)
                    async with aclosing(archive) as pieces:
                        async for piece in pieces:
                            yield piece
                            if asyncio.get_running_loop().time() > deadline:
                                raise ExportTimeoutError
            # Refused if the subscription was erased since the snapshot.
            with suppress(asyncpg.RestrictViolationError):
                await record_export(connection, subscription_id)

    async def _subject(
        self, connection: Connection, subscription_id: str, customer_id: str | None
    ) -> ExportSubject:
        subject = None
        if is_storable(subscription_id):
            subject = await export_subject(connection, subscription_id, customer_id)
        if subject is None:
            raise no_such_subscription()
        if subject.state is State.ERASED:
            raise refusal(RefusalCode.DATA_ERASED)
        if self._rates is not None:
            await self._rates.count(subscription_id, "export")
        return subject

    @contextmanager
    def _slot(self, customer_id: str) -> Iterator[None]:
        """Count an export in progress, so that the slow reads of one customer leave connections to others."""
        self._in_progress[customer_id] += 1
        try:
            if self._in_progress[customer_id] > _MAX_PER_CUSTOMER:
                raise TooManyExportsError
            yield
        finally:
            self._in_progress[customer_id] -= 1
            if not self._in_progress[customer_id]:
                del self._in_progress[customer_id]
