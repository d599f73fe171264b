"""Reconciliation types: finding codes, page inputs, progress and report."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from subscription.business_calendar import Instant
from subscription.model import Frozen, Wire
from subscription.validation import require_storable

GRACE_MINUTES, MOST_GRACE_MINUTES = 10, 10 * 365 * 24 * 60
"""The grace period: subscriptions that began or ended within it may still be in progress."""

ROTATION_NIGHTS = 28
"""Every workflow is queried at least once in this many nights."""


class FindingCode(StrEnum):
    """The finding codes. They are a public interface; docs/scheduled-jobs.md explains them."""

    # Differences between the workflow and the database.
    WORKFLOW_MISSING = "WORKFLOW_MISSING"
    WORKFLOW_BEHIND = "WORKFLOW_BEHIND"
    WORKFLOW_DIFFERS = "WORKFLOW_DIFFERS"
    WORKFLOW_STUCK = "WORKFLOW_STUCK"
    WORKFLOW_PAUSED = "WORKFLOW_PAUSED"
    END_MISSING = "END_MISSING"
    DEADLINE_LONG_PAST = "DEADLINE_LONG_PAST"
    WORKFLOW_RESET = "WORKFLOW_RESET"
    UNKNOWN_WORKFLOW = "UNKNOWN_WORKFLOW"
    # Inconsistencies within the database, and differences from the rules.
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
    # Missing data, and data that should have been deleted.
    DATA_MISSING = "DATA_MISSING"
    DATA_LEFT = "DATA_LEFT"
    UNREADABLE = "UNREADABLE"


class Finding(Frozen):
    """An inconsistency. `message` has no personal data; `subscription_id` is None for invoices."""

    subscription_id: str | None
    code: FindingCode
    message: str
    repaired: bool = False


class ReportedFinding(Finding):
    """A finding in a report, with its time by the database's clock."""

    found_at: Instant


class Reconciliation(Frozen):
    """A run of the job as stored in the database; `finished_at` is None while it is running."""

    run: str
    started_at: Instant
    finished_at: Instant | None
    checked: int
    queried: int
    """The number of workflows that were queried; the others were compared by lists."""
    found: int
    repaired: int

    @property
    def summary(self) -> str:
        return _summary(self.checked, self.found, self.repaired)


class ReconcileStep(StrEnum):
    """The steps of a run, in order."""

    RECORD = "RECORD"
    """Compare the subscriptions in the database with the running workflows."""
    RUNNING = "RUNNING"
    """Find running workflows of unknown types, and restore or end the unexpected ones of subscriptions.

    A restored subscription may need a name that an erased one held, so the records are checked first.
    """
    CLOSED = "CLOSED"
    """Find histories that should have been deleted."""
    ADJUSTMENTS = "ADJUSTMENTS"
    INVOICES = "INVOICES"
    REPORT = "REPORT"

    @property
    def following(self) -> "ReconcileStep":
        steps = list(ReconcileStep)
        return steps[steps.index(self) + 1]


class ReconcilePage(Frozen):
    """Check a page after the cursor `after`, the `next_after` of the previous page.

    `run` identifies the report. Subscriptions that began or ended less than `grace_minutes` ago may still be
    in progress.
    """

    run: str
    after: str = ""
    grace_minutes: int
    query_all: bool = False
    """Query every workflow, instead of those that the rotation and the changes determine."""
    has_unexpected: bool = False
    """An earlier page has reported it, so all workflows are listed again after the records."""


class ReconcilePageResult(Frozen):
    """The result of a page. `next_after` is the cursor of the next page; None on the last page."""

    checked: int
    found: int
    queried: int = 0
    has_unexpected: bool = False
    """Temporal runs a subscription's workflow that the database lacks or has erased."""
    next_after: str | None = None


class ReconcileProgress(Wire):
    """The progress of a run. To start a run manually, set `grace_minutes`, `query_all` or nothing."""

    grace_minutes: Annotated[int, Field(ge=0, le=MOST_GRACE_MINUTES)] = GRACE_MINUTES
    query_all: bool = False
    step: Annotated[ReconcileStep, Field(strict=False)] = ReconcileStep.RECORD
    after: Annotated[str, AfterValidator(require_storable)] = ""
    checked: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    found: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    queried: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    has_unexpected: bool = False

    def after_page(self, page: ReconcilePageResult) -> "ReconcileProgress":
        return ReconcileProgress(
            grace_minutes=self.grace_minutes,
            query_all=self.query_all,
            step=self.step.following if page.next_after is None else self.step,
            after=page.next_after or "",
            checked=self.checked + page.checked,
            found=self.found + page.found,
            queried=self.queried + page.queried,
            has_unexpected=self.has_unexpected or page.has_unexpected,
        )


class FinishReconciliation(Frozen):
    """Finish the report of a run, with its numbers of checked subscriptions and of queried workflows."""

    run: str
    checked: int
    queried: int = 0


class ReconcileReport(Frozen):
    """The result of the job; `worksub findings` shows every finding."""

    summary: str
    run: str
    checked: int
    queried: int = 0
    found: int
    repaired: int
    by_code: Mapping[FindingCode, int]


def report_of(
    run: str, checked: int, queried: int, found: Mapping[FindingCode, int], repaired: int
) -> ReconcileReport:
    """Return the report of a run; `found` has the number of findings of each code."""
    return ReconcileReport(
        summary=_summary(checked, sum(found.values()), repaired),
        run=run,
        checked=checked,
        queried=queried,
        found=sum(found.values()),
        repaired=repaired,
        by_code=found,
    )


def _summary(checked: int, found: int, repaired: int) -> str:
    subscriptions = f"{checked:,} {'subscription' if checked == 1 else 'subscriptions'} checked"
    if not found:
        return f"{subscriptions}, no findings."
    findings = f"{found:,} {'finding' if found == 1 else 'findings'}"
    return f"{subscriptions}, {findings}: {repaired:,} repaired, {found - repaired:,} open."
