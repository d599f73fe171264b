"""Subscription repository: row, events, ledger lines and command answers (R22, R31).

Every function runs inside its caller's transaction.
"""

from collections.abc import Iterable, Sequence

from adapters.postgres.erasure_certificates import certificate_from_row
from adapters.postgres.pool import Connection, Pool
from subscription.activity_contracts import StoredAnswer
from subscription.deadlines import next_deadline
from subscription.erasure_certificate import ErasureCertificate
from subscription.event_documents import event_from_json, public_json
from subscription.events import Event, private_fields
from subscription.issuer import SYSTEM, Issuer
from subscription.ledger import LedgerLine
from subscription.request import Request
from subscription.state import Subscription


async def lock_subscription_id(connection: Connection, subscription_id: str) -> None:
    """Lock a subscription ID until the transaction ends, because there is no subscription row to lock yet.

    Concurrent inserts of the same key block each other, so the lock row is deleted immediately. An advisory
    lock would be unsafe, because every login could hold it.
    """
    await connection.execute("INSERT INTO subscription_locks VALUES ($1)", subscription_id)
    await connection.execute("DELETE FROM subscription_locks WHERE subscription_id = $1", subscription_id)


async def lock_customer(connection: Connection, customer_id: str) -> None:
    """Lock a customer until the transaction ends, so that its subscriptions can be counted (R2).

    The lock row is deleted immediately, as in `lock_subscription_id`.
    """
    await connection.execute("INSERT INTO customer_locks VALUES ($1)", customer_id)
    await connection.execute("DELETE FROM customer_locks WHERE customer_id = $1", customer_id)


async def lock_row_and_get_sequence(connection: Connection, subscription_id: str) -> int | None:
    """Lock the row until the transaction ends and return the last event's number; None without a row."""
    sequence: int | None = await connection.fetchval(
        "SELECT sequence FROM subscriptions WHERE subscription_id = $1 FOR UPDATE", subscription_id
    )
    return sequence


async def recorded_event(connection: Connection, subscription_id: str, sequence: int) -> Event | None:
    """Return the event with this number, without its private fields; None if it does not exist."""
    detail = await connection.fetchval(
        "SELECT detail FROM lifecycle_events WHERE subscription_id = $1 AND sequence = $2",
        subscription_id,
        sequence,
    )
    return event_from_json(subscription_id, detail) if detail else None


async def insert_subscription(connection: Connection, state: Subscription, request: Request) -> bool:
    """Insert the first row; return False if its request ID or its subscription ID exists (R9).

    ON CONFLICT has no target, because a conflict on the other unique index would then raise an error.
    """
    contract, reservation, deadline = state.contract, state.reservation, next_deadline(state)
    assert contract is None
    assert reservation is None
    inserted = await connection.fetchval(
        """
        INSERT INTO subscriptions
            (subscription_id, request_id, request_fingerprint, customer_id, state, access, plan, members,
             sequence, started_at, trial_ends_at, next_deadline_at, next_deadline, snapshot)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        ON CONFLICT DO NOTHING RETURNING 1
        """,
        state.subscription_id,
        request.request_id,
        request.fingerprint(),
        state.customer_id,
        state.state,
        state.access,
        state.plan,
        state.members,
        state.sequence,
        state.started_at,
        state.trial_ends_at,
        deadline and deadline.at,
        deadline and deadline.what,
        state.model_dump_json(exclude_none=True),
    )
    return inserted is not None


async def update_subscription(connection: Connection, state: Subscription) -> None:
    """Update the row to this state."""
    contract, reservation, deadline = state.contract, state.reservation, next_deadline(state)
    await connection.execute(
        """
        UPDATE subscriptions
           SET state = $2, access = $3, plan = $4, members = $5, term = $6, sequence = $7,
               contract_from = $8, contract_to = $9, reservation = $10, reservation_date = $11,
               next_deadline_at = $12, next_deadline = $13, snapshot = $14,
               customer_id = $15, started_at = $16, trial_ends_at = $17,
               recorded_at = clock_timestamp()
         WHERE subscription_id = $1
        """,
        state.subscription_id,
        state.state,
        state.access,
        state.plan,
        state.members,
        contract and contract.term,
        state.sequence,
        contract and contract.first_day,
        contract and contract.end_day,
        reservation and reservation.kind,
        reservation and reservation.date,
        deadline and deadline.at,
        deadline and deadline.what,
        state.model_dump_json(exclude_none=True),
        state.customer_id,
        state.started_at,
        state.trial_ends_at,
    )


async def count_members(connection: Connection, subscription_id: str) -> None:
    """Set the number of members of a locked row, which a trigger usually does (R36)."""
    await connection.execute(
        """
        UPDATE subscriptions
           SET added_members = (SELECT count(*) FROM members WHERE subscription_id = $1)
         WHERE subscription_id = $1
        """,
        subscription_id,
    )


async def insert_events(
    connection: Connection,
    state: Subscription,
    first_sequence: int,
    events: Sequence[Event],
    issuers: Sequence[Issuer] = (),
) -> None:
    """Insert events, numbered from `first_sequence`, with their ledger lines.

    Private fields go to a separate table. `issuers` may be shorter: the other events have none.
    """
    for number, event in enumerate(events):
        sequence = first_sequence + number
        issuer = issuers[number] if number < len(issuers) else SYSTEM
        await insert_event(connection, state, sequence, event, issuer)
        if event.lines:
            await insert_lines(connection, state, sequence, event.lines)


async def insert_event(
    connection: Connection, state: Subscription, sequence: int, event: Event, issuer: Issuer = SYSTEM
) -> None:
    """Insert an event without its ledger lines.

    The trigger `queue_webhooks` inserts one delivery per subscribed webhook endpoint, which the webhook
    dispatcher sends after the commit. The trigger `number_customer_event` numbers the event for its customer.
    `state` is the state after this event, or after all events of the same transition.
    """
    await connection.execute(
        """
        INSERT INTO lifecycle_events
            (subscription_id, sequence, event, state, effective_at, detail, channel)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        state.subscription_id,
        sequence,
        event.event,
        state.state,
        event.at,
        public_json(state.subscription_id, event),
        issuer.channel,
    )
    private = event.model_dump_json(include=set(private_fields(event)), exclude_none=True)
    if private != "{}" or issuer.by:
        await connection.execute(
            """
            INSERT INTO event_private_data (subscription_id, sequence, issued_by, private)
            VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
            """,
            state.subscription_id,
            sequence,
            issuer.by,
            private,
        )


async def insert_lines(
    connection: Connection, state: Subscription, sequence: int, lines: Iterable[LedgerLine]
) -> None:
    """Insert ledger lines of the event with this number.

    The event has the documents of its lines; the view `ledger` joins both.
    """
    await connection.executemany(
        """
        INSERT INTO ledger_lines
            (subscription_id, kind, first_day, end_day, sequence, amount, effective_at, customer_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        [
            (
                state.subscription_id,
                line.kind,
                line.first_day,
                line.end_day,
                sequence,
                line.amount,
                line.effective_at,
                state.customer_id,
            )
            for line in lines
        ],
    )


async def save_answer(
    connection: Connection, subscription_id: str, sequence: int, kept: StoredAnswer
) -> None:
    """Store the answer to a command with the number of the last event before the answer (R22)."""
    await connection.execute(
        """
        INSERT INTO command_answers (subscription_id, command_id, sequence, answer, fingerprint)
        VALUES ($1, $2, $3, $4, keyed_hash($5)) ON CONFLICT DO NOTHING
        """,
        subscription_id,
        kept.command_id,
        sequence,
        kept.answer.model_dump_json(),
        kept.fingerprint,
    )


async def request_fingerprint(connection: Connection, subscription_id: str) -> str:
    """Return the fingerprint of the request body, which detects another body with the same request ID (R9).

    The fingerprint exists only until the subscription is erased.
    """
    fingerprint: str = await connection.fetchval(
        "SELECT request_fingerprint FROM subscriptions WHERE subscription_id = $1", subscription_id
    )
    return fingerprint


async def matches_erased_request(
    connection: Connection, subscription_id: str, fingerprint: str | None
) -> bool:
    """Return whether an erased subscription was requested with this body.

    Return True if the body is unreadable and has no fingerprint.
    """
    same: bool = fingerprint is None or await connection.fetchval(
        "SELECT matches_erased_request($1, $2)", subscription_id, fingerprint
    )
    return same


async def erase_personal_data(connection: Connection, subscription_id: str) -> ErasureCertificate:
    """Delete all personal data of a subscription (R31).

    A database function counts the deleted rows and issues the certificate; the first certificate is kept.
    Raises `asyncpg.RestrictViolationError` unless the recorded state of the subscription is ERASED.
    """
    row = await connection.fetchrow("SELECT erased_at, rows FROM erase_personal_data($1)", subscription_id)
    assert row is not None
    return certificate_from_row(subscription_id, row)


async def certify_histories(connection: Connection | Pool, subscription_id: str, runs: int) -> None:
    """Certify the deletion of `runs` workflow histories; the first certificate is kept (R31).

    Nothing happens without a certificate for the database: then a restored backup dates from before the
    erasure.
    """
    await connection.execute("SELECT certify_histories($1, $2)", subscription_id, runs)
