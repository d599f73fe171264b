"""Reconciliation types: finding codes, page inputs, progress and report."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from subscription.business_calendar import Instant
from subscription.model import Frozen, Wire
from subscription.validation import require_storable

GRACE_MINUTES, MOST_GRACE_MINUTES = 10, 10 * 365 * 24 * 60
"""What began or ended less than so long ago may still be under way."""


class FindingCode(StrEnum):
    """What was found. The codes are a public interface; docs/scheduled-jobs.md has their meanings."""

    # The workflow against the record.
    WORKFLOW_MISSING = "WORKFLOW_MISSING"
    WORKFLOW_BEHIND = "WORKFLOW_BEHIND"
    WORKFLOW_DIFFERS = "WORKFLOW_DIFFERS"
    WORKFLOW_STUCK = "WORKFLOW_STUCK"
    WORKFLOW_PAUSED = "WORKFLOW_PAUSED"
    END_MISSING = "END_MISSING"
    DEADLINE_LONG_PAST = "DEADLINE_LONG_PAST"
    WORKFLOW_RESET = "WORKFLOW_RESET"
    UNKNOWN_WORKFLOW = "UNKNOWN_WORKFLOW"
    # The record against itself, and against the rules.
    ROW_MISSING = "ROW_MISSING"
    ROW_DIFFERS = "ROW_DIFFERS"
    EVENT_MISSING = "EVENT_MISSING"
    EVENT_DIFFERS = "EVENT_DIFFERS"
    NAME_DIFFERS = "NAME_DIFFERS"
    CATALOGUE_MISSING = "CATALOGUE_MISSING"
    LINE_MISSING = "LINE_MISSING"
    LINE_UNEXPECTED = "LINE_UNEXPECTED"
    CHARGE_DIFFERS = "CHARGE_DIFFERS"
    ADJUSTMENT_MISSING = "ADJUSTMENT_MISSING"
    ADJUSTMENT_DIFFERS = "ADJUSTMENT_DIFFERS"
    INVOICE_MISSING = "INVOICE_MISSING"
    INVOICE_DIFFERS = "INVOICE_DIFFERS"
    # Data that should or should not be there.
    DATA_MISSING = "DATA_MISSING"
    DATA_LEFT = "DATA_LEFT"
    UNREADABLE = "UNREADABLE"


class Finding(Frozen):
    """One thing that was amiss; `message` names no person. `subscription_id` is None for an invoice's."""

    subscription_id: str | None
    code: FindingCode
    message: str
    repaired: bool = False


class ReportedFinding(Finding):
    """A finding in a report, and when it was found, by the database's clock."""

    found_at: Instant


class Reconciliation(Frozen):
    """A run of the job as the record has it; `finished_at` is None while it is under way."""

    run: str
    started_at: Instant
    finished_at: Instant | None
    looked_at: int
    found: int
    repaired: int

    @property
    def summary(self) -> str:
        return _summary(self.looked_at, self.found, self.repaired)


class ReconcileStep(StrEnum):
    """The parts of a run, in their order."""

    RECORD = "RECORD"
    """Each subscription of the record, with its workflow."""
    RUNNING = "RUNNING"
    """Running workflows that the record does not expect."""
    CLOSED = "CLOSED"
    """Histories that should be gone."""
    ADJUSTMENTS = "ADJUSTMENTS"
    INVOICES = "INVOICES"
    REPORT = "REPORT"

    @property
    def following(self) -> "ReconcileStep":
        steps = list(ReconcileStep)
        return steps[steps.index(self) + 1]


class ReconcilePage(Frozen):
    """Look at what comes after `after`, which is where an earlier page said that the next one begins.

    `run` names the report. What began or ended less than `grace_minutes` ago may still be under way.
    """

    run: str
    after: str = ""
    grace_minutes: int


class ReconcilePageResult(Frozen):
    """What a page came to; `next_after` is where the next one begins, None if there is none."""

    looked_at: int
    found: int
    next_after: str | None = None


class ReconcileProgress(Wire):
    """How far a run has come. Who starts one by hand may set `grace_minutes` and leaves the rest out."""

    grace_minutes: Annotated[int, Field(ge=0, le=MOST_GRACE_MINUTES)] = GRACE_MINUTES
    step: Annotated[ReconcileStep, Field(strict=False)] = ReconcileStep.RECORD
    after: Annotated[str, AfterValidator(require_storable)] = ""
    looked_at: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    found: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0

    def after_page(self, page: ReconcilePageResult) -> "ReconcileProgress":
        return ReconcileProgress(
            grace_minutes=self.grace_minutes,
            step=self.step.following if page.next_after is None else self.step,
            after=page.next_after or "",
            looked_at=self.looked_at + page.looked_at,
            found=self.found + page.found,
        )


class FinishReconciliation(Frozen):
    """Close the report of this run, which looked at so many subscriptions."""

    run: str
    looked_at: int


class ReconcileReport(Frozen):
    """What the job says when it is done; `worksub findings` has every finding."""

    summary: str
    run: str
    looked_at: int
    found: int
    repaired: int
    by_code: Mapping[FindingCode, int]


def report_of(run: str, looked_at: int, found: Mapping[FindingCode, int], repaired: int) -> ReconcileReport:
    """The report of a run that found so many of each code."""
    return ReconcileReport(
        summary=_summary(looked_at, sum(found.values()), repaired),
        run=run,
        looked_at=looked_at,
        found=sum(found.values()),
        repaired=repaired,
        by_code=found,
    )


def _summary(looked_at: int, found: int, repaired: int) -> str:
    looked = f"{looked_at:,} {'subscription' if looked_at == 1 else 'subscriptions'} looked at"
    if not found:
        return f"{looked}, nothing is amiss."
    findings = f"{found:,} {'finding' if found == 1 else 'findings'}"
    return f"{looked}, {findings}: {repaired:,} repaired, {found - repaired:,} left to somebody."
