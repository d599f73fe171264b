"""Notice outbox types: states, activity inputs and results, retry backoff."""

from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from subscription.batch import MemberFailure
from subscription.business_calendar import Day, Instant
from subscription.model import Frozen, Wire
from subscription.validation import require_storable

_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=2), timedelta(hours=6)
# Calculations with the days before and after a date in this range stay within the range of `date`.
_JobsDay = Annotated[Day, Field(ge=date(1000, 1, 1), le=date(9900, 12, 31))]


class NoticeKind(StrEnum):
    """The kinds of notices. The names are a public interface; docs/notices.md explains them."""

    TRIAL_ENDING = "TRIAL_ENDING"
    DELETION_DUE = "DELETION_DUE"
    SWITCH_DUE = "SWITCH_DUE"
    CONTRACT_ENDING = "CONTRACT_ENDING"
    DOMAIN_UNVERIFIED = "DOMAIN_UNVERIFIED"
    RENAME_UNVERIFIED = "RENAME_UNVERIFIED"


class NoticeState(StrEnum):
    WAITING = "WAITING"
    SENT = "SENT"
    """The mail server has accepted the email."""
    OUTDATED = "OUTDATED"
    """Before the notice was sent, it was no longer correct, or a notice with fewer days replaced it."""
    UNDELIVERABLE = "UNDELIVERABLE"
    """The mail server has rejected the email permanently, or too many attempts have failed."""


class OutboxNotice(Frozen):
    """A notice in the outbox. Its email has personal data and is deleted by erasure and by the retention job.

    `event_date` and `threshold_days` are as in `Notice`. `last_error` never contains the mail server's text.
    """

    number: int
    subscription_id: str
    customer_id: str
    kind: NoticeKind
    event_date: Day
    threshold_days: int
    state: NoticeState
    attempts: int
    last_error: str | None
    queued_at: Instant
    next_attempt_at: Instant | None
    completed_at: Instant | None
    recipient: str | None
    subject: str | None
    body: str | None


class QueueNoticesInput(Frozen):
    """Queue the notices that are due on a day, for a page of subscriptions after the ID `after`."""

    day: Day
    after: str = ""


class QueueNoticesResult(Frozen):
    """The number of new notices. `next_after` is the cursor of the next page; None on the last page."""

    queued: int
    failed: tuple[MemberFailure, ...] = ()
    next_after: str | None


class DeliverNoticesInput(Frozen):
    """Send a page of the waiting notices. A notice that is no longer correct on this day is not sent."""

    day: Day


class DeliverNoticesResult(Frozen):
    """The result of a page.

    `waiting` is the number of notices that are left; `more` is set if some of them can be sent immediately.
    `trouble` is the reason why no email can be sent at present. `no_server` is set if no mail server is
    configured. `next_in_seconds` is the time until the next deferred notice may be sent.
    """

    sent: int = 0
    undeliverable: int = 0
    waiting: int
    more: bool = False
    trouble: str | None = None
    failed: tuple[MemberFailure, ...] = ()
    no_server: bool = False
    next_in_seconds: float | None = None


class NoticesWorkflowInput(Wire):
    """The progress of a run. To test the notices of a day, start a run manually with `day` only."""

    day: _JobsDay | None = None
    after: Annotated[str, AfterValidator(require_storable)] = ""
    queued: int = Field(default=0, ge=0)
    failed: int = Field(default=0, ge=0)
    failures: Annotated[tuple[MemberFailure, ...], Field(strict=False)] = ()  # a list, in JSON


class NoticesDeliveryInput(Wire):
    """Continue to deliver the waiting notices. `day` is as in `NoticesWorkflowInput`."""

    day: _JobsDay | None = None


class NoticesReport(Frozen):
    """The result of the job."""

    summary: str
    day: Day
    queued: int
    sent: int
    undeliverable: int
    waiting: int
    failed: int
    failures: tuple[MemberFailure, ...]


def retry_delay(failures: int) -> timedelta:
    """Return the delay after consecutive failures: 2 s, 8 s, 32 s and so on, up to 6 hours."""
    # The limit of 8 already gives the longest delay and keeps the power small.
    factor: int = 4 ** (min(failures, 8) - 1)
    return min(_FIRST_PAUSE * factor, _LONGEST_PAUSE)
