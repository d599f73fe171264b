"""Transactional outbox: claim, complete, retry and give up messages that wait to be sent.

The tables `notices` and `webhook_deliveries` are outboxes. The transaction that causes a message inserts its
row with the state WAITING. Every other state is final, until `REQUEUE` makes the row wait again.
"""

import uuid
from datetime import timedelta

from adapters.postgres.pool import Connection

REQUEUE = """state = 'WAITING', attempts = 0, completed_at = NULL, queued_at = clock_timestamp(),
                   next_attempt_at = clock_timestamp()"""
"""SQL assignments that make a row wait again."""

UNCLAIMED = "coalesce(claimed_until, '-infinity') <= clock_timestamp()"
"""SQL condition for the rows without a valid lease."""


class Outbox:
    """The outbox in one table.

    A claim is a row lock with SKIP LOCKED, which ends with its transaction. A table with leases also has the
    columns `claim` and `claimed_until`. Its claim outlives the transaction, so that none is open while the
    message is sent. Only the holder of the lease may then change the row.
    """

    def __init__(self, table: str, *, has_leases: bool = False) -> None:
        self._table = table
        self._has_leases = has_leases
        self._release = ", claim = NULL, claimed_until = NULL" if has_leases else ""
        self.due = "state = 'WAITING' AND next_attempt_at <= clock_timestamp()"
        """SQL condition for the rows that may be claimed now. Row locks are not part of it."""
        if has_leases:
            self.due += f" AND {UNCLAIMED}"

    async def complete(
        self, connection: Connection, number: int, state: str, *, lease: uuid.UUID | None = None
    ) -> bool:
        """Record a successful attempt and its final state; return False if the claim was lost."""
        return await self._record_attempt(
            connection, number, lease, "state = $2, completed_at = clock_timestamp()", None, state
        )

    async def retry(
        self,
        connection: Connection,
        number: int,
        reason: str,
        pause: timedelta,
        *,
        lease: uuid.UUID | None = None,
    ) -> bool:
        """Record a failed attempt and schedule the next one; return False if the claim was lost."""
        return await self._record_attempt(
            connection, number, lease, "next_attempt_at = clock_timestamp() + $2::interval", reason, pause
        )

    async def give_up(
        self, connection: Connection, number: int, reason: str, state: str, *, lease: uuid.UUID | None = None
    ) -> bool:
        """Record the last failed attempt and its final state; return False if the claim was lost."""
        return await self._record_attempt(
            connection, number, lease, "state = $2, completed_at = clock_timestamp()", reason, state
        )

    async def close(
        self, connection: Connection, state: str, reason: str | None, condition: str, *arguments: object
    ) -> None:
        """Set the final state of waiting rows without an attempt. The arguments of `condition` begin at $3.

        Without a reason, the error of the last attempt is kept.
        """
        await connection.execute(
            f"""
            UPDATE {self._table}
               SET state = $1, last_error = coalesce($2, last_error),
                   completed_at = clock_timestamp(){self._release}
             WHERE state = 'WAITING' AND {condition}
            """,  # noqa: S608 - the callers pass constants
            state,
            reason,
            *arguments,
        )

    async def _record_attempt(
        self,
        connection: Connection,
        number: int,
        lease: uuid.UUID | None,
        assignments: str,
        reason: str | None,
        value: object,
    ) -> bool:
        held = await connection.fetchval(
            f"""
            UPDATE {self._table} SET attempts = attempts + 1, last_error = $3, {assignments}{self._release}
             WHERE number = $1 AND state = 'WAITING' {"AND claim = $4" if self._has_leases else ""}
            RETURNING true
            """,  # noqa: S608 - constants
            number,
            value,
            reason,
            *((lease,) if self._has_leases else ()),
        )
        return bool(held)
