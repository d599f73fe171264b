"""Retention job types: inputs, results and report of the daily purge."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from subscription.batch import MemberFailure, failures_message, first_failures
from subscription.model import Frozen, Wire
from subscription.reconciliation import GRACE_MINUTES, MOST_GRACE_MINUTES


class PurgeInput(Wire):
    """The input of a run: the minutes after which a closed run may be purged. May be set manually."""

    grace_minutes: Annotated[int, Field(ge=0, le=MOST_GRACE_MINUTES)] = GRACE_MINUTES


class PurgeHistoriesInput(Frozen):
    """Delete the orphaned histories among a page of closed runs after the cursor `after`."""

    grace_minutes: int
    after: str = ""


class PurgeHistoriesResult(Frozen):
    """The number of deleted histories. `next_after` is the next page's cursor; None on the last page."""

    histories: int
    failed: tuple[MemberFailure, ...] = ()
    next_after: str | None


class PurgeRowsInput(Frozen):
    """Delete the rows that are past their retention."""


class PurgeRowsResult(Frozen):
    """The number of deleted rows of each table."""

    rows: Mapping[str, int]
    failed: tuple[MemberFailure, ...] = ()


class PurgeReport(Frozen):
    """The result of the job."""

    summary: str
    histories: int
    rows: Mapping[str, int]
    failed: int
    failures: tuple[MemberFailure, ...]


def purge_report(
    histories: int, rows: Mapping[str, int], failed: int, failures: Sequence[MemberFailure]
) -> PurgeReport:
    deleted = [f"{number:,} of {table}" for table, number in rows.items() if number]
    if histories:
        deleted.insert(0, f"{histories:,} {'history' if histories == 1 else 'histories'}")
    summary = f"Deleted: {', '.join(deleted)}." if deleted else "Nothing was past its retention."
    return PurgeReport(
        summary=summary + failures_message(failed, failures),
        histories=histories,
        rows=rows,
        failed=failed,
        failures=first_failures(failures),
    )
