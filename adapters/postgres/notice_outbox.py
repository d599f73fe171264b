"""Notice outbox: enqueued per subscription and addressee, claimed by a row lock while an email is sent."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from adapters.email.notice_emails import NoticeEmail, NoticeEmails
from adapters.postgres.outbox import REQUEUE, Outbox
from adapters.postgres.pool import Connection, Pool
from subscription.catalogue import PriceBook
from subscription.confirmations import Confirmation
from subscription.notice_outbox import Addressee, NoticeKind, NoticeState, retry_delay
from subscription.notices import Notice, NoticeKey, administrator_address, notices_due, recipients
from subscription.state import Subscription

OUTBOX = Outbox("notices")
# About three days, including the pauses. An unavailable mail server does not count as an attempt.
_MAX_ATTEMPTS = 20

RowKey = tuple[NoticeKey, Addressee]
"""The key of a notice of the daily job and its addressee; each has a row."""


@dataclass(frozen=True)
class QueueDepth:
    """Number of waiting notices, and seconds until the next attempt; None if no notice waits."""

    count: int
    next_in_seconds: float | None


@dataclass(frozen=True)
class DueNotice:
    """A notice to attempt now. `due_on` is the day for which it was queued."""

    number: int
    subscription_id: str
    is_confirmation: bool
    due_on: date


@dataclass(frozen=True)
class ClaimedDelivery:
    """A notice that only this transaction may send. `name` is the same for every attempt."""

    number: int
    name: str
    attempts: int
    email: NoticeEmail


async def sync_notices(
    pool: Pool, subscription_id: str, day: date, book: PriceBook, emails: NoticeEmails
) -> int:
    """Enqueue the notices due for this subscription on `day`; return the number of new rows.

    The emails of waiting notices are rendered again. Waiting notices that are no longer due become OUTDATED.
    Notices that another transaction is sending at this moment are not changed.
    """
    async with pool.acquire() as connection, connection.transaction():
        # FOR SHARE serializes with erasure, so that no email is written after the data has been erased.
        document = await connection.fetchval(
            "SELECT snapshot FROM subscriptions WHERE subscription_id = $1 FOR SHARE", subscription_id
        )
        due = notices_due(Subscription.model_validate_json(document), day, book)
        contact_email = await _contact_email(connection, subscription_id)
        rows = {
            (notice.key, addressee): (notice, emails.render(notice, book, addressee, address))
            for notice in due
            for addressee, address in recipients(notice.state, contact_email, book.notice_policy).items()
        }
        known = (await states(connection, [subscription_id]))[subscription_id]
        await _update_waiting(connection, subscription_id, rows)
        added = 0
        for (key, addressee), (notice, email) in rows.items():
            if is_new(key, addressee, known):
                added += await _add(connection, notice, addressee, email, day)
        return added


async def queue_confirmations(
    connection: Connection, confirmations: Iterable[Confirmation], book: PriceBook, emails: NoticeEmails
) -> None:
    """Enqueue the confirmations of events, in the transaction that records the events.

    The unique key contains the number of the event, so repeating it adds nothing.
    """
    for confirmation in confirmations:
        state = confirmation.state
        contact_email = await _contact_email(connection, state.subscription_id)
        for addressee, address in recipients(state, contact_email, book.notice_policy).items():
            email = emails.render(confirmation, book, addressee, address)
            await _add(connection, confirmation, addressee, email, confirmation.event_date)


async def refresh_address(pool: Pool, number: int, book: PriceBook) -> None:
    """Update the address of a waiting confirmation; if there is no address any more, it becomes OUTDATED.

    The account may have been renamed since, and another customer may have its former name.
    """
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(
            """
            SELECT snapshot, subscription_id, addressee
              FROM subscriptions JOIN notices USING (subscription_id)
             WHERE number = $1 AND notices.state = 'WAITING' FOR SHARE OF subscriptions
            """,
            number,
        )
        if row is None:
            return
        if row["addressee"] == Addressee.CONTACT:
            address = await _contact_email(connection, row["subscription_id"])
        else:
            state = Subscription.model_validate_json(row["snapshot"])
            address = administrator_address(state, book.notice_policy)
        if address is None:
            await OUTBOX.close(connection, NoticeState.OUTDATED, None, "number = $3", number)
            return
        await connection.execute(
            "UPDATE notice_emails SET recipient = $2 WHERE number = $1 AND recipient <> $2", number, address
        )


async def states(
    connection: Connection | Pool, subscription_ids: Sequence[str]
) -> dict[str, dict[RowKey, NoticeState]]:
    """Return the state of every notice of the daily job for each of these subscriptions."""
    rows = await connection.fetch(
        "SELECT subscription_id, kind, event_date, threshold_days, addressee, state FROM notices"
        " WHERE subscription_id = ANY($1) AND sequence = 0",
        subscription_ids,
    )
    by_subscription: dict[str, dict[RowKey, NoticeState]] = {id: {} for id in subscription_ids}
    for row in rows:
        by_subscription[row["subscription_id"]][_key(row)] = NoticeState(row["state"])
    return by_subscription


def is_new(key: NoticeKey, addressee: Addressee, known: Mapping[RowKey, NoticeState]) -> bool:
    """Return whether a due notice is unknown, or became OUTDATED without being sent."""
    return known.get((key, addressee), NoticeState.OUTDATED) is NoticeState.OUTDATED


async def expire_all(connection: Connection, subscription_id: str) -> None:
    """Mark all waiting notices of a subscription as OUTDATED.

    The update blocks on the row lock of a notice that is being sent, until that transaction ends.
    """
    await OUTBOX.close(connection, NoticeState.OUTDATED, None, "subscription_id = $3", subscription_id)


async def due_notices(pool: Pool, limit: int) -> list[DueNotice]:
    """Return the notices to attempt now, in order of their due times."""
    rows = await pool.fetch(
        f"""
        SELECT number, subscription_id, sequence > 0 AS is_confirmation, due_on FROM notices
         WHERE {OUTBOX.due} ORDER BY next_attempt_at, number LIMIT $1
        """,  # noqa: S608 - a constant
        limit,
    )
    return [DueNotice(**row) for row in rows]


@asynccontextmanager
async def claim(pool: Pool, number: int) -> AsyncIterator[tuple[Connection, ClaimedDelivery | None]]:
    """Claim a notice for one attempt; yield None if it is not due or another transaction has claimed it.

    The row lock lasts for the context. An erasure waits for the end of this transaction, and then no notice
    of the subscription remains to be sent.
    """
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(
            f"""
            SELECT number, notices.subscription_id, kind, event_date, threshold_days, sequence, addressee,
                   attempts, recipient, subject, body, html
              FROM notices JOIN notice_emails USING (number)
             WHERE number = $1 AND {OUTBOX.due} FOR UPDATE SKIP LOCKED
            """,  # noqa: S608 - a constant
            number,
        )
        yield connection, _claimed_delivery(row) if row else None


async def mark_sent(connection: Connection, number: int) -> None:
    await OUTBOX.complete(connection, number, NoticeState.SENT)


async def reschedule(connection: Connection, number: int, pause: timedelta, reason: str) -> None:
    """Record a failed attempt and schedule the next attempt after the pause."""
    await OUTBOX.retry(connection, number, reason, pause)


async def record_failure(
    connection: Connection, notice: ClaimedDelivery, reason: str, *, is_permanent: bool
) -> bool:
    """Schedule the next attempt, or give up after a permanent error or the last attempt.

    Return whether the notice was given up.
    """
    attempts = notice.attempts + 1
    if is_permanent or attempts >= _MAX_ATTEMPTS:
        return await OUTBOX.give_up(connection, notice.number, reason, NoticeState.UNDELIVERABLE)
    await OUTBOX.retry(connection, notice.number, reason, retry_delay(attempts))
    return False


async def set_waiting_reason(pool: Pool, reason: str) -> None:
    """Store the reason why no notice can be sent at present.

    The mail server is unavailable; this does not count as a failed attempt of a notice.
    """
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


async def _contact_email(connection: Connection, subscription_id: str) -> str | None:
    address: str | None = await connection.fetchval(
        "SELECT contact_email FROM companies WHERE subscription_id = $1", subscription_id
    )
    return address


async def _update_waiting(
    connection: Connection, subscription_id: str, due: Mapping[RowKey, tuple[Notice, NoticeEmail]]
) -> None:
    rows = await connection.fetch(
        """
        SELECT number, kind, event_date, threshold_days, addressee FROM notices
         WHERE subscription_id = $1 AND state = 'WAITING' AND sequence = 0 FOR UPDATE SKIP LOCKED
        """,
        subscription_id,
    )
    for row in rows:
        if entry := due.get(_key(row)):
            await _write(connection, row["number"], subscription_id, entry[1])
        else:
            await OUTBOX.close(connection, NoticeState.OUTDATED, None, "number = $3", row["number"])


async def _add(
    connection: Connection,
    notice: Notice | Confirmation,
    addressee: Addressee,
    email: NoticeEmail,
    due_on: date,
) -> bool:
    """Insert or reactivate a notice; return False if a concurrent transaction has already done so."""
    number = await connection.fetchval(
        f"""
        INSERT INTO notices (subscription_id, customer_id, kind, event_date, threshold_days, sequence,
                             addressee, due_on)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (subscription_id, kind, event_date, threshold_days, sequence, addressee) DO UPDATE
           SET last_error = NULL, due_on = EXCLUDED.due_on, {REQUEUE}
         WHERE notices.state = 'OUTDATED' AND notices.sequence = 0
        RETURNING number
        """,  # noqa: S608 - a constant
        notice.state.subscription_id,
        notice.state.customer_id,
        notice.kind,
        notice.event_date,
        notice.threshold_days,
        notice.sequence,
        addressee,
        due_on,
    )
    if number is None:
        return False
    await _write(connection, number, notice.state.subscription_id, email)
    return True


async def _write(connection: Connection, number: int, subscription_id: str, email: NoticeEmail) -> None:
    await connection.execute(
        """
        INSERT INTO notice_emails (number, subscription_id, recipient, subject, body, html)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (number) DO UPDATE
           SET recipient = EXCLUDED.recipient, subject = EXCLUDED.subject, body = EXCLUDED.body,
               html = EXCLUDED.html
        """,
        number,
        subscription_id,
        email.recipient,
        email.subject,
        email.body,
        email.html,
    )


def _key(row: Any) -> RowKey:
    key = NoticeKind(row["kind"]), row["event_date"], row["threshold_days"]
    return key, Addressee(row["addressee"])


def _claimed_delivery(row: Any) -> ClaimedDelivery:
    (kind, event_date, threshold_days), addressee = _key(row)
    event = f"{row['sequence']}/{kind}" if row["sequence"] else f"{kind}/{event_date}/{threshold_days}"
    return ClaimedDelivery(
        number=row["number"],
        name=f"{row['subscription_id']}/{event}/{addressee}",
        attempts=row["attempts"],
        email=NoticeEmail(
            recipient=row["recipient"], subject=row["subject"], body=row["body"], html=row["html"]
        ),
    )
