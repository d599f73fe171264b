"""Notice outbox in PostgreSQL: enqueue, claim, settle."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from adapters.email.notice_emails import NoticeEmail, render_notice_email
from adapters.postgres.pool import Connection, Pool
from subscription.catalogue import PriceBook
from subscription.notice_outbox import NoticeKind, NoticeState
from subscription.notices import Notice, NoticeKey, notices_due
from subscription.state import Subscription


@dataclass(frozen=True)
class QueueDepth:
    """How many notices wait, and in how many seconds the first of them may be tried; None if none waits."""

    count: int
    next_in_seconds: float | None


@dataclass(frozen=True)
class ClaimedDelivery:
    """A notice that this transaction alone may send. `name` is the same for it at every attempt."""

    number: int
    name: str
    attempts: int
    letter: NoticeEmail


async def sync_notices(pool: Pool, subscription_id: str, day: date, book: PriceBook) -> int:
    """The outbox has what is due for this subscription on `day`, in its present words; how much is new.

    What waits and is due no longer is outdated. What is being sent at this moment is left alone.
    """
    async with pool.acquire() as connection, connection.transaction():
        # An erasure comes before this or after it, so that no letter is written behind its back.
        document = await connection.fetchval(
            "SELECT snapshot FROM subscriptions WHERE subscription_id = $1 FOR SHARE", subscription_id
        )
        due = notices_due(Subscription.model_validate_json(document), day, book)
        known = (await states(connection, [subscription_id]))[subscription_id]
        await _correct_what_waits(connection, subscription_id, due, book)
        return sum([await _add(connection, notice, book) for notice in due if is_new(notice, known)])


async def states(
    connection: Connection | Pool, subscription_ids: Sequence[str]
) -> dict[str, dict[NoticeKey, NoticeState]]:
    """How far the notices of each of these subscriptions are."""
    rows = await connection.fetch(
        "SELECT subscription_id, kind, about, days, state FROM notices WHERE subscription_id = ANY($1)",
        subscription_ids,
    )
    found: dict[str, dict[NoticeKey, NoticeState]] = {each: {} for each in subscription_ids}
    for row in rows:
        found[row["subscription_id"]][_key(row)] = NoticeState(row["state"])
    return found


def is_new(notice: Notice, known: Mapping[NoticeKey, NoticeState]) -> bool:
    """What was outdated without being sent, and is due again, is new again."""
    return known.get(notice.key, NoticeState.OUTDATED) is NoticeState.OUTDATED


async def expire_all(connection: Connection, subscription_id: str) -> None:
    """Nothing more is told to this subscription; what is being sent at this moment is waited for."""
    await connection.execute(
        """
        UPDATE notices SET state = 'OUTDATED', settled_at = clock_timestamp()
         WHERE subscription_id = $1 AND state = 'WAITING'
        """,
        subscription_id,
    )


async def due_notices(pool: Pool, limit: int) -> list[tuple[int, str]]:
    """The numbers of notices that may be tried now, each with its subscription; the longest due first."""
    rows = await pool.fetch(
        """
        SELECT number, subscription_id FROM notices
         WHERE state = 'WAITING' AND next_attempt_at <= clock_timestamp()
         ORDER BY next_attempt_at, number LIMIT $1
        """,
        limit,
    )
    return [(row["number"], row["subscription_id"]) for row in rows]


@asynccontextmanager
async def claim(pool: Pool, number: int) -> AsyncIterator[tuple[Connection, ClaimedDelivery | None]]:
    """The notice, if it still waits for an attempt and nobody else is at it; no other can be meanwhile.

    An erasure waits until the transaction has ended, and then finds nothing that is still to be sent.
    """
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(
            """
            SELECT number, notices.subscription_id, kind, about, days, attempts, recipient, subject, body
              FROM notices JOIN notice_letters USING (number)
             WHERE number = $1 AND state = 'WAITING' AND next_attempt_at <= clock_timestamp()
               FOR UPDATE SKIP LOCKED
            """,
            number,
        )
        yield connection, _taken(row) if row else None


async def settle(
    connection: Connection, number: int, state: NoticeState, last_error: str | None = None
) -> None:
    """The attempt was the last one."""
    await connection.execute(
        """
        UPDATE notices
           SET state = $2, attempts = attempts + 1, last_error = $3, settled_at = clock_timestamp()
         WHERE number = $1
        """,
        number,
        state,
        last_error,
    )


async def reschedule(connection: Connection, number: int, pause: timedelta, last_error: str) -> None:
    """The attempt has failed, and another one is made after the pause."""
    await connection.execute(
        """
        UPDATE notices
           SET attempts = attempts + 1, last_error = $3, next_attempt_at = clock_timestamp() + $2::interval
         WHERE number = $1
        """,
        number,
        pause,
        last_error,
    )


async def set_waiting_reason(pool: Pool, reason: str) -> None:
    """Nothing at all can be sent, which is no failed attempt of any of them."""
    await pool.execute(
        """
        UPDATE notices SET last_error = $1
          FROM (SELECT number FROM notices
                 WHERE state = 'WAITING' AND last_error IS DISTINCT FROM $1
                   FOR UPDATE SKIP LOCKED) AS free
         WHERE notices.number = free.number
        """,
        reason,
    )


async def queue_depth(pool: Pool) -> QueueDepth:
    row = await pool.fetchrow(
        """
        SELECT count(*) AS count,
               extract(epoch FROM min(next_attempt_at) - clock_timestamp())::float AS seconds
          FROM notices WHERE state = 'WAITING'
        """
    )
    assert row is not None
    return QueueDepth(row["count"], row["seconds"])


async def _correct_what_waits(
    connection: Connection, subscription_id: str, due: Iterable[Notice], book: PriceBook
) -> None:
    by_key = {notice.key: notice for notice in due}
    rows = await connection.fetch(
        """
        SELECT number, kind, about, days FROM notices
         WHERE subscription_id = $1 AND state = 'WAITING' FOR UPDATE SKIP LOCKED
        """,
        subscription_id,
    )
    for row in rows:
        if notice := by_key.get(_key(row)):
            await _write(connection, row["number"], notice, book)
        else:
            await connection.execute(
                "UPDATE notices SET state = 'OUTDATED', settled_at = clock_timestamp() WHERE number = $1",
                row["number"],
            )


async def _add(connection: Connection, notice: Notice, book: PriceBook) -> bool:
    """False if somebody else has added it at the same time."""
    number = await connection.fetchval(
        """
        INSERT INTO notices (subscription_id, customer_id, kind, about, days) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (subscription_id, kind, about, days) DO UPDATE
           SET state = 'WAITING', attempts = 0, last_error = NULL, settled_at = NULL,
               queued_at = clock_timestamp(), next_attempt_at = clock_timestamp()
         WHERE notices.state = 'OUTDATED'
        RETURNING number
        """,
        notice.state.subscription_id,
        notice.state.customer_id,
        notice.kind,
        notice.about,
        notice.days,
    )
    if number is None:
        return False
    await _write(connection, number, notice, book)
    return True


async def _write(connection: Connection, number: int, notice: Notice, book: PriceBook) -> None:
    written = render_notice_email(notice, book)
    await connection.execute(
        """
        INSERT INTO notice_letters (number, subscription_id, recipient, subject, body)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (number) DO UPDATE
           SET recipient = EXCLUDED.recipient, subject = EXCLUDED.subject, body = EXCLUDED.body
        """,
        number,
        notice.state.subscription_id,
        written.recipient,
        written.subject,
        written.body,
    )


def _key(row: Any) -> NoticeKey:
    return NoticeKind(row["kind"]), row["about"], row["days"]


def _taken(row: Any) -> ClaimedDelivery:
    kind, about, days = _key(row)
    return ClaimedDelivery(
        number=row["number"],
        name=f"{row['subscription_id']}/{kind}/{about}/{days}",
        attempts=row["attempts"],
        letter=NoticeEmail(recipient=row["recipient"], subject=row["subject"], body=row["body"]),
    )
