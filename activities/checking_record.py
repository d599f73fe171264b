"""The record against itself: rows against events, ledger lines against events, events against the rules."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from activities import record
from activities.database import Connection, Pool
from activities.erasure import PERSONAL_DATA, delete_personal_data
from subscription.catalogue import PriceBook
from subscription.deadlines import next_deadline
from subscription.events import EVENT, Event
from subscription.ledger import LedgerLine
from subscription.reconciliation import Finding, FindingCode, charges_unreckoned, retold
from subscription.state import State, Subscription

_COLUMNS: Mapping[str, Callable[[Subscription], Any]] = {
    "state": lambda state: state.state,
    "access": lambda state: state.access,
    "plan": lambda state: state.plan,
    "members": lambda state: state.members,
    "term": lambda state: state.contract and state.contract.term,
    "sequence": lambda state: state.sequence,
    "contract_from": lambda state: state.contract and state.contract.first_day,
    "contract_to": lambda state: state.contract and state.contract.end_day,
    "reservation": lambda state: state.reservation and state.reservation.kind,
    "reservation_date": lambda state: state.reservation and state.reservation.date,
    "next_deadline": lambda state: (due := next_deadline(state)) and due.what,
    "next_deadline_at": lambda state: (due := next_deadline(state)) and due.at,
}


@dataclass(frozen=True)
class Recorded:
    """A subscription as the record has it, all read at one moment."""

    row: Mapping[str, Any]
    snapshot: Subscription
    events: Mapping[int, Event]
    lines: Mapping[int, Mapping[int, LedgerLine]]
    """By the number of their event, and their position in it."""
    personal_rows: int

    @property
    def id(self) -> str:
        return self.snapshot.subscription_id

    @property
    def retold(self) -> Subscription:
        """The state as the events tell it."""
        return retold(self.snapshot, list(self.events.values()))

    @property
    def events_are_whole(self) -> bool:
        return list(self.events) == list(range(1, len(self.events) + 1))


async def recorded_page(pool: Pool, after: str, limit: int) -> list[Recorded]:
    """The subscriptions after this id, in the order of their ids."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        rows = await connection.fetch(
            f"""
            SELECT subscription_id, {", ".join(_COLUMNS)}, snapshot, recorded_at,
                   request_fingerprint IS NOT NULL AS has_fingerprint
              FROM subscriptions WHERE subscription_id > $1 ORDER BY subscription_id LIMIT $2
            """,
            after,
            limit,
        )
        ids = [row["subscription_id"] for row in rows]
        events = await _events(connection, ids)
        lines = await _lines(connection, ids)
        personal = await _personal_rows(connection, ids)
    return [
        Recorded(
            row=dict(row),
            snapshot=Subscription.model_validate_json(row["snapshot"]),
            events=events.get(row["subscription_id"], {}),
            lines=lines.get(row["subscription_id"], {}),
            personal_rows=personal.get(row["subscription_id"], 0) + row["has_fingerprint"],
        )
        for row in rows
    ]


def findings_in(recorded: Recorded, book: PriceBook) -> Iterator[Finding]:
    """What the record says against itself; whether it has been repaired is not said yet."""
    if not recorded.events_are_whole:
        yield _finding(recorded, FindingCode.EVENTS_DIFFER, "Lifecycle events are missing.")
        return
    differing = _differing(recorded)
    if differing:
        message = f"The row differs from its events in {', '.join(differing)}."
        yield _finding(recorded, FindingCode.ROW_DIFFERS, message)
    for sequence, event in recorded.events.items():
        yield from _line_findings(recorded, sequence, event)
    for event in charges_unreckoned(recorded.snapshot, list(recorded.events.values()), book):
        message = f"The rules reckon other charges for {event.event} of {event.at:%Y-%m-%d}."
        yield _finding(recorded, FindingCode.CHARGE_UNRECKONED, message)
    if recorded.retold.state is State.ERASED and recorded.personal_rows:
        message = f"{recorded.personal_rows} rows of personal data are left after the erasure."
        yield _finding(recorded, FindingCode.DATA_LEFT, message)


async def rewrite_row(pool: Pool, recorded: Recorded) -> bool:
    """Make the row what the events tell; False if something has happened meanwhile."""
    async with pool.acquire() as connection, connection.transaction():
        sequence = await record.recorded_sequence(connection, recorded.id)
        if sequence != recorded.row["sequence"]:
            return False
        await record.update_subscription(connection, recorded.retold)
        return True


async def insert_missing_lines(pool: Pool, recorded: Recorded) -> bool:
    """Add the lines of recorded events that the ledger lacks; what is there stays as it is."""
    async with pool.acquire() as connection, connection.transaction():
        for sequence, event in recorded.events.items():
            present = recorded.lines.get(sequence, {})
            missing = [
                (position, line) for position, line in enumerate(event.lines) if position not in present
            ]
            await record.insert_lines(connection, recorded.snapshot, sequence, missing)
    return True


async def erase_again(pool: Pool, recorded: Recorded) -> bool:
    """Delete what names a person; the certificate of the first erasure stays."""
    async with pool.acquire() as connection, connection.transaction():
        await delete_personal_data(connection, recorded.id)
        await record.forget_request(connection, recorded.id)
    return True


def _differing(recorded: Recorded) -> list[str]:
    told = recorded.retold
    columns = [name for name, value in _COLUMNS.items() if recorded.row[name] != value(told)]
    return columns or (["snapshot"] if recorded.snapshot != told else [])


def _line_findings(recorded: Recorded, sequence: int, event: Event) -> Iterator[Finding]:
    present = recorded.lines.get(sequence, {})
    expected = dict(enumerate(event.lines))
    missing = [line.key for position, line in expected.items() if position not in present]
    odd = [line.key for position, line in present.items() if expected.get(position) != line]
    if missing:
        message = f"The ledger lacks {_keys(recorded, missing)}."
        yield _finding(recorded, FindingCode.LINE_MISSING, message)
    if odd:
        message = f"The ledger has {_keys(recorded, odd)}, which its event does not charge so."
        yield _finding(recorded, FindingCode.LINE_UNEXPECTED, message)


def _keys(recorded: Recorded, keys: Sequence[str]) -> str:
    return ", ".join(key.removeprefix(f"{recorded.id}/") for key in keys)


def _finding(recorded: Recorded, code: FindingCode, message: str) -> Finding:
    return Finding(subscription_id=recorded.id, code=code, message=message)


async def _events(connection: Connection, ids: Sequence[str]) -> dict[str, dict[int, Event]]:
    rows = await connection.fetch(
        """
        SELECT subscription_id, sequence, detail FROM lifecycle_events
         WHERE subscription_id = ANY($1) ORDER BY subscription_id, sequence
        """,
        ids,
    )
    events: dict[str, dict[int, Event]] = {}
    for row in rows:
        events.setdefault(row["subscription_id"], {})[row["sequence"]] = EVENT.validate_json(row["detail"])
    return events


async def _lines(connection: Connection, ids: Sequence[str]) -> dict[str, dict[int, dict[int, LedgerLine]]]:
    """Each line as its document has it, in the amount and under the key that are charged."""
    rows = await connection.fetch(
        """
        SELECT subscription_id, sequence, position, key, amount, line FROM ledger_lines
         WHERE subscription_id = ANY($1) ORDER BY subscription_id, sequence, position
        """,
        ids,
    )
    lines: dict[str, dict[int, dict[int, LedgerLine]]] = {}
    for row in rows:
        document = {**json.loads(row["line"]), "key": row["key"], "amount": row["amount"]}
        of_event = lines.setdefault(row["subscription_id"], {}).setdefault(row["sequence"], {})
        of_event[row["position"]] = LedgerLine.model_validate(document)
    return lines


async def _personal_rows(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    tables = " UNION ALL ".join(
        f"SELECT subscription_id FROM {table} WHERE subscription_id = ANY($1)" for table in PERSONAL_DATA
    )
    rows = await connection.fetch(
        f"SELECT subscription_id, count(*) AS number FROM ({tables}) AS personal GROUP BY subscription_id",
        ids,
    )
    return {row["subscription_id"]: row["number"] for row in rows}
