"""Consistency checks within the database: events, ledger lines, adjustments, personal data."""

from collections.abc import Iterable, Iterator, Sequence

from activities.reconciliation.record_snapshot import RecordSnapshot, Row
from subscription.catalogue import PriceBook
from subscription.event_replay import replay
from subscription.ledger import LedgerLine
from subscription.messages import PLAIN
from subscription.reconciliation import Finding, FindingCode
from subscription.state import Subscription

_REQUIRED_WHILE_ACTIVE = ("administrators", "companies")


def missing_events(record: RecordSnapshot, up_to: int) -> Finding | None:
    """Return a finding of the missing event numbers up to `up_to`; None if no event is missing."""
    missing = record.missing(up_to)
    if not missing:
        return None
    numbers = [f"{gap[0]}" if len(gap) == 1 else f"{gap[0]} to {gap[-1]}" for gap in missing]
    message = f"The database lacks event {', '.join(numbers)}."
    return _finding(record, FindingCode.EVENT_MISSING, message)


def event_findings(record: RecordSnapshot) -> Iterator[Finding]:
    """Yield findings of events that are unreadable, or whose columns do not match their content."""
    for row in record.event_rows:
        event = record.events[row["sequence"]]
        if event is None:
            yield _finding(record, FindingCode.EVENT_DIFFERS, f"Event {row['sequence']} cannot be read.")
        elif (row["event"], row["effective_at"]) != (event.event, event.at):
            message = f"The columns of event {row['sequence']} do not match its content."
            yield _finding(record, FindingCode.EVENT_DIFFERS, message)


def missing_lines(record: RecordSnapshot) -> Finding | None:
    """Return a finding of the ledger lines of recorded events that the ledger lacks."""
    missing = [
        line for sequence, event in record.events.items() for line in record.missing_lines(sequence, event)
    ]
    if not missing:
        return None
    message = f"The ledger lacks {_keys(record, missing)}."
    return _finding(record, FindingCode.LINE_MISSING, message)


def unexpected_lines(record: RecordSnapshot, customer_id: str) -> Finding | None:
    """Return a finding of ledger lines that no recorded event of this customer charges."""
    unexpected = [
        row["key"].removeprefix(f"{record.id}/")
        for row in record.line_rows
        if not _is_charged(record, row, customer_id)
    ]
    if not unexpected:
        return None
    message = f"The ledger has {', '.join(unexpected)}, which matches no event."
    return _finding(record, FindingCode.LINE_UNEXPECTED, message)


def charge_findings(record: RecordSnapshot, base: Subscription, book: PriceBook) -> Iterator[Finding]:
    """Yield findings of events whose charges differ from what the rules calculate.

    Yield nothing while events are missing.
    """
    for mismatch in replay(base, record.readable_events or (), book).mismatches:
        event = mismatch.event
        message = (
            f"{event.event} of {event.at:%Y-%m-%d} charges {_sum(event.lines)}; "
            f"the rules calculate {_sum(mismatch.expected)}."
        )
        yield _finding(record, FindingCode.CHARGE_DIFFERS, message)


def adjustment_findings(record: RecordSnapshot) -> Iterator[Finding]:
    """Yield findings of adjustments of foreign lines, and of adjustments that exceed the charge."""
    lines_by_key = {row["key"]: row for row in record.line_rows}
    for adjustment in record.adjusted:
        line = lines_by_key.get(adjustment["key"])
        key = adjustment["key"].removeprefix(f"{record.id}/")
        if line is None:
            message = f"An adjustment corrects {key}, which is not a line of this ledger."
        elif line["amount"] + adjustment["amount"] < 0:
            message = f"Adjustments give back more of {key} than it charges."
        elif adjustment["customers"] != [line["customer_id"]]:
            message = f"An adjustment of {key} is for another customer than the line."
        else:
            continue
        yield _finding(record, FindingCode.ADJUSTMENT_DIFFERS, message)


def miscounted_members(record: RecordSnapshot) -> Finding | None:
    """Return a finding of a row with another number of members than the table has (R36).

    Members that are left after an erasure are a finding of `remaining_data`, whose repair counts them again.
    """
    counted, rows = record.row["added_members"], record.personal.get("members", 0)
    if counted == rows or (record.is_erased and rows):
        return None
    message = f"The row counts {counted} members beside the administrator, and there are {rows}."
    return _finding(record, FindingCode.ROW_DIFFERS, message)


def missing_data(record: RecordSnapshot) -> Finding | None:
    """Return a finding of the tables without a row that an active subscription must have."""
    missing = [table for table in _REQUIRED_WHILE_ACTIVE if not record.personal.get(table)]
    if not missing:
        return None
    message = f"An active subscription has no row in {' and '.join(missing)}."
    return _finding(record, FindingCode.DATA_MISSING, message)


def remaining_data(record: RecordSnapshot) -> Finding | None:
    """Return a finding of the remaining personal data of an erased subscription (R31)."""
    remaining = {table: rows for table, rows in record.personal.items() if rows}
    if record.row["has_fingerprint"]:
        remaining["request fingerprint"] = 1
    if not remaining:
        return None
    counted = ", ".join(f"{rows} of {table}" for table, rows in sorted(remaining.items()))
    return _finding(record, FindingCode.DATA_LEFT, f"Personal data were left after the erasure: {counted}.")


def _is_charged(record: RecordSnapshot, row: Row, customer_id: str) -> bool:
    """Return whether the event of this row charges exactly this line.

    An unreadable event counts as charging it, because `event_findings` reports that event.
    """
    event = record.events.get(row["sequence"])
    if event is None:
        return row["sequence"] in record.events
    line = next((line for line in event.lines if line.key == row["key"]), None)
    if line is None:
        return False
    expected = (line.end_day, line.amount, line.effective_at, customer_id)
    return expected == tuple(row[name] for name in ("end_day", "amount", "effective_at", "customer_id"))


def _keys(record: RecordSnapshot, lines: Iterable[LedgerLine]) -> str:
    return ", ".join(line.key.removeprefix(f"{record.id}/") for line in lines)


def _sum(lines: Sequence[LedgerLine]) -> str:
    total = PLAIN.krw(sum(line.amount for line in lines))
    return f"{total} in {len(lines)} {'line' if len(lines) == 1 else 'lines'}"


def _finding(record: RecordSnapshot, code: FindingCode, message: str) -> Finding:
    return Finding(subscription_id=record.id, code=code, message=message)
