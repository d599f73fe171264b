"""Everything the database holds about a subscription, read in one snapshot."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeVar

import asyncpg

from activities.batch import Batch
from activities.erasure import PERSONAL_DATA
from adapters.outages import concerns_all
from adapters.postgres.pool import Connection, Pool
from subscription.deadlines import Deadline, next_deadline
from subscription.event_documents import event_from_json
from subscription.event_replay import without_transient_fields
from subscription.events import Erased, Event
from subscription.ledger import LedgerLine
from subscription.state import Subscription

Row = asyncpg.Record
T = TypeVar("T")

COLUMNS: Mapping[str, Callable[[Subscription, Deadline | None], Any]] = {
    "customer_id": lambda state, due: state.customer_id,
    "state": lambda state, due: state.state,
    "access": lambda state, due: state.access,
    "plan": lambda state, due: state.plan,
    "members": lambda state, due: state.members,
    "term": lambda state, due: state.contract and state.contract.term,
    "sequence": lambda state, due: state.sequence,
    "started_at": lambda state, due: state.started_at,
    "trial_ends_at": lambda state, due: state.trial_ends_at,
    "contract_from": lambda state, due: state.contract and state.contract.first_day,
    "contract_to": lambda state, due: state.contract and state.contract.end_day,
    "reservation": lambda state, due: state.reservation and state.reservation.kind,
    "reservation_date": lambda state, due: state.reservation and state.reservation.date,
    "next_deadline": lambda state, due: due and due.what,
    "next_deadline_at": lambda state, due: due and due.at,
}
"""Columns of `subscriptions` that lists use, with their value for a state and its next deadline."""


@dataclass(frozen=True)
class RecordSnapshot:
    """Database rows of a subscription. Values that cannot be parsed are None."""

    id: str
    row: Row
    event_rows: Sequence[Row]
    line_rows: Sequence[Row]
    adjusted: Sequence[Row]
    """For each adjusted line: its key, the sum of its adjustments, and their customers."""
    names: Mapping[str, str]
    """The account names, each with its status."""
    personal: Mapping[str, int]
    """Number of rows per table of personal data."""
    certified: Mapping[str, timedelta]
    """Certified parts of the erasure, with the age of each certificate by the database clock."""

    @property
    def is_erased(self) -> bool:
        """Return whether an immutable certificate or event records the erasure. The row may be wrong."""
        return "DATABASE" in self.certified or any(
            isinstance(event, Erased) for event in self.events.values()
        )

    @cached_property
    def snapshot(self) -> Subscription | None:
        state = _read(Subscription.model_validate_json, self.row["snapshot"])
        return state if state and state.subscription_id == self.id else None

    @cached_property
    def events(self) -> Mapping[int, Event | None]:
        """Return the events by sequence number, in order; None for an unreadable event."""
        return {row["sequence"]: _read(_event, row) for row in self.event_rows}

    @cached_property
    def lines(self) -> Mapping[int, Set[str]]:
        """Return the keys of the ledger lines by the sequence number of their event."""
        keys: dict[int, set[str]] = defaultdict(set)
        for row in self.line_rows:
            keys[row["sequence"]].add(row["key"])
        return keys

    @cached_property
    def readable_events(self) -> list[Event] | None:
        """Return all events in order; None if an event is missing or unreadable."""
        events = [event for event in self.events.values() if event is not None]
        return events if len(events) == len(self.events) and not self.missing() else None

    def missing(self, up_to: int = 0) -> list[range]:
        """Return the gaps in the sequence numbers, up to the latest event or `up_to`."""
        bounds = [0, *self.events, max([1, up_to, *self.events]) + 1]
        return [range(lower + 1, upper) for lower, upper in pairwise(bounds) if upper > lower + 1]

    def missing_lines(self, sequence: int, event: Event | None) -> list[LedgerLine]:
        """Return the lines of this event that the ledger lacks."""
        present = self.lines.get(sequence, frozenset())
        return [line for line in (event.lines if event else ()) if line.key not in present]

    @property
    def latest(self) -> int:
        """Return the sequence number of the last event; 0 if there is none."""
        return max(self.events, default=0)

    def differs_from(self, state: Subscription) -> list[str]:
        """Return the columns that differ from this state; `snapshot` if only the snapshot differs."""
        due = next_deadline(state)
        columns = [name for name, value in COLUMNS.items() if self.row[name] != value(state, due)]
        if columns or (
            self.snapshot and without_transient_fields(self.snapshot) == without_transient_fields(state)
        ):
            return columns
        return ["snapshot"]


async def recorded_page(pool: Pool, ids: Sequence[str], batch: Batch) -> list[RecordSnapshot]:
    """Load these subscriptions together, or one by one if a value of one of them is unreadable."""
    try:
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            return await _load_records(connection, ids)
    except Exception as error:
        if concerns_all(error):
            raise
    records = [
        await batch.run_member(subscription_id, load_record(pool, subscription_id)) for subscription_id in ids
    ]
    return [record for record in records if record is not None]


async def load_record(pool: Pool, subscription_id: str) -> RecordSnapshot | None:
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        return await load_record_within(connection, subscription_id)


async def load_record_within(connection: Connection, subscription_id: str) -> RecordSnapshot | None:
    """Load the record as the transaction of this connection sees it."""
    records = await _load_records(connection, [subscription_id])
    return records[0] if records else None


async def _load_records(connection: Connection, ids: Sequence[str]) -> list[RecordSnapshot]:
    rows = await connection.fetch(
        f"""
        SELECT subscription_id, {", ".join(COLUMNS)}, added_members, snapshot,
               request_fingerprint IS NOT NULL AS has_fingerprint
          FROM subscriptions WHERE subscription_id = ANY($1) ORDER BY subscription_id
        """,  # noqa: S608 - the parts are COLUMNS
        ids,
    )
    events = await _by_subscription(
        connection,
        """
        SELECT subscription_id, sequence, event, effective_at, detail, private
          FROM lifecycle_events LEFT JOIN event_private_data USING (subscription_id, sequence)
         WHERE subscription_id = ANY($1) ORDER BY subscription_id, sequence
        """,
        ids,
    )
    lines = await _by_subscription(
        connection,
        """
        SELECT subscription_id, sequence, line_key(subscription_id, kind, first_day) AS key, customer_id,
               end_day, amount, effective_at
          FROM ledger_lines WHERE subscription_id = ANY($1)
         ORDER BY subscription_id, sequence, first_day, kind
        """,
        ids,
    )
    adjusted = await _by_subscription(
        connection,
        """
        SELECT subscription_id, line_key(subscription_id, line_kind, line_first_day) AS key,
               sum(amount) AS amount, array_agg(DISTINCT customer_id) AS customers
          FROM ledger_adjustments WHERE subscription_id = ANY($1)
         GROUP BY subscription_id, line_kind, line_first_day
        """,
        ids,
    )
    names = await _by_subscription(
        connection,
        "SELECT subscription_id, name, status FROM account_names WHERE subscription_id = ANY($1)",
        ids,
    )
    personal = await _by_subscription(connection, _PERSONAL_ROWS, ids)
    certified = await _by_subscription(
        connection,
        """
        SELECT subscription_id, part, clock_timestamp() - recorded_at AS age
          FROM erasure_certificates WHERE subscription_id = ANY($1)
        """,
        ids,
    )
    return [
        RecordSnapshot(
            id=(subscription_id := row["subscription_id"]),
            row=row,
            event_rows=events[subscription_id],
            line_rows=lines[subscription_id],
            adjusted=adjusted[subscription_id],
            names={name["name"]: name["status"] for name in names[subscription_id]},
            personal={table["part"]: table["rows"] for table in personal[subscription_id]},
            certified={part["part"]: part["age"] for part in certified[subscription_id]},
        )
        for row in rows
    ]


_PERSONAL_ROWS = " UNION ALL ".join(
    f"""
    SELECT subscription_id, '{table}' AS part, count(*) AS rows
      FROM {table} WHERE subscription_id = ANY($1) GROUP BY subscription_id
    """  # noqa: S608 - the parts are PERSONAL_DATA
    for table in PERSONAL_DATA
)


async def _by_subscription(connection: Connection, query: str, ids: Sequence[str]) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in await connection.fetch(query, ids):
        rows[row["subscription_id"]].append(row)
    return rows


def _event(row: Row) -> Event:
    return event_from_json(row["subscription_id"], row["detail"], row["private"])


def _read(reader: Callable[[Any], T], document: Any) -> T | None:
    try:
        return reader(document)
    except ValueError:
        return None
