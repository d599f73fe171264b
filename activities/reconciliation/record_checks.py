"""Consistency checks within the database: events, ledger lines, adjustments, personal data."""

from collections.abc import Iterable, Iterator, Sequence

from activities.reconciliation.record_snapshot import RecordSnapshot, Row
from subscription.catalogue import PriceBook
from subscription.event_replay import charge_mismatches
from subscription.event_text import format_krw
from subscription.ledger import LedgerLine
from subscription.reconciliation import Finding, FindingCode
from subscription.state import Subscription

_OF_EVERYBODY_LIVING = ("administrators", "companies")


def missing_events(recorded: RecordSnapshot, up_to: int) -> Finding | None:
    """The numbers that no event has, where `up_to` have been recorded."""
    missing = recorded.missing(up_to)
    if not missing:
        return None
    numbers = [f"{each[0]}" if len(each) == 1 else f"{each[0]} to {each[-1]}" for each in missing]
    message = f"The record lacks event {', '.join(numbers)}."
    return _finding(recorded, FindingCode.EVENT_MISSING, message)


def event_findings(recorded: RecordSnapshot) -> Iterator[Finding]:
    """Events that cannot be read, or are indexed as others than they are."""
    for row in recorded.event_rows:
        event = recorded.events[row["sequence"]]
        if event is None:
            yield _finding(recorded, FindingCode.EVENT_DIFFERS, f"Event {row['sequence']} cannot be read.")
        elif (row["event"], row["effective_at"]) != (event.event, event.at):
            message = f"Event {row['sequence']} is listed as another one than it is."
            yield _finding(recorded, FindingCode.EVENT_DIFFERS, message)


def missing_lines(recorded: RecordSnapshot) -> Finding | None:
    """The ledger lines of recorded events that the ledger lacks."""
    missing = [
        line
        for sequence, event in recorded.events.items()
        for _, line in recorded.missing_lines(sequence, event)
    ]
    if not missing:
        return None
    message = f"The ledger lacks {_keys(recorded, missing)}."
    return _finding(recorded, FindingCode.LINE_MISSING, message)


def unexpected_lines(recorded: RecordSnapshot, customer_id: str) -> Finding | None:
    """Ledger lines that no recorded event charges so, to this customer."""
    unexpected = [
        row["key"].removeprefix(f"{recorded.id}/")
        for row in recorded.line_rows
        if not _is_charged(recorded, row, customer_id)
    ]
    if not unexpected:
        return None
    message = f"The ledger has {', '.join(unexpected)}, which no event charges so."
    return _finding(recorded, FindingCode.LINE_UNEXPECTED, message)


def charge_findings(recorded: RecordSnapshot, base: Subscription, book: PriceBook) -> Iterator[Finding]:
    """Events whose charges are not what the rules reckon; nothing while events are missing."""
    for found in charge_mismatches(base, recorded.readable_events or (), book):
        event = found.event
        message = (
            f"{event.event} of {event.at:%Y-%m-%d} charges {_sum(event.lines)}; "
            f"the rules reckon {_sum(found.expected)}."
        )
        yield _finding(recorded, FindingCode.CHARGE_DIFFERS, message)


def adjustment_findings(recorded: RecordSnapshot) -> Iterator[Finding]:
    """Adjustments of lines that are another's, or that give back more than was charged."""
    charged = {row["key"]: row for row in recorded.line_rows}
    for adjusted in recorded.adjusted:
        line = charged.get(adjusted["line_key"])
        key = adjusted["line_key"].removeprefix(f"{recorded.id}/")
        if line is None:
            message = f"An adjustment corrects {key}, which is no line of this ledger."
        elif line["amount"] + adjusted["amount"] < 0:
            message = f"Adjustments give back more of {key} than it charges."
        elif adjusted["customers"] != [line["customer_id"]]:
            message = f"An adjustment of {key} is for another customer than the line."
        else:
            continue
        yield _finding(recorded, FindingCode.ADJUSTMENT_DIFFERS, message)


def missing_data(recorded: RecordSnapshot) -> Finding | None:
    """What a living subscription must have of its people."""
    missing = [table for table in _OF_EVERYBODY_LIVING if not recorded.personal.get(table)]
    if not missing:
        return None
    message = f"A living subscription has no row in {' and '.join(missing)}."
    return _finding(recorded, FindingCode.DATA_MISSING, message)


def data_left(recorded: RecordSnapshot) -> Finding | None:
    """What names a person and is still there of an erased subscription (R31)."""
    left = {table: rows for table, rows in recorded.personal.items() if rows}
    if recorded.row["has_fingerprint"]:
        left["request fingerprint"] = 1
    if not left:
        return None
    counted = ", ".join(f"{rows} of {table}" for table, rows in sorted(left.items()))
    return _finding(recorded, FindingCode.DATA_LEFT, f"Personal data were left after the erasure: {counted}.")


def _is_charged(recorded: RecordSnapshot, row: Row, customer_id: str) -> bool:
    """Whether the event of this row charges just this line; one that cannot be read is doubted elsewhere."""
    event = recorded.events.get(row["sequence"])
    if event is None:
        return row["sequence"] in recorded.events
    line = dict(enumerate(event.lines)).get(row["position"])
    if line is None:
        return False
    indexed = (line.key, line.kind, line.first_day, line.end_day, line.amount, line.effective_at)
    columns = tuple(row[name] for name in ("key", "kind", "first_day", "end_day", "amount", "effective_at"))
    return indexed == columns and row["customer_id"] == customer_id and _document(row["line"]) == line


def _document(text: str) -> LedgerLine | None:
    try:
        return LedgerLine.model_validate_json(text)
    except ValueError:
        return None


def _keys(recorded: RecordSnapshot, lines: Iterable[LedgerLine]) -> str:
    return ", ".join(line.key.removeprefix(f"{recorded.id}/") for line in lines)


def _sum(lines: Sequence[LedgerLine]) -> str:
    total = format_krw(sum(line.amount for line in lines))
    return f"{total} in {len(lines)} {'line' if len(lines) == 1 else 'lines'}"


def _finding(recorded: RecordSnapshot, code: FindingCode, message: str) -> Finding:
    return Finding(subscription_id=recorded.id, code=code, message=message)
