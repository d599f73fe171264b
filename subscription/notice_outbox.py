"""Notice outbox types: kinds, states, activity inputs and results, retry backoff."""

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
    """The kinds of notices. The names are a public interface; docs/notices.md explains them.

    A confirmation has the name of its event.
    """

    TRIAL_ENDING = "TRIAL_ENDING"
    DELETION_DUE = "DELETION_DUE"
    SWITCH_DUE = "SWITCH_DUE"
    CONTRACT_ENDING = "CONTRACT_ENDING"
    PRICE_RISE = "PRICE_RISE"
    DOMAIN_UNVERIFIED = "DOMAIN_UNVERIFIED"
    RENAME_UNVERIFIED = "RENAME_UNVERIFIED"
    # Confirmations.
    TRIAL_STARTED = "TRIAL_STARTED"
    TRIAL_ENDED = "TRIAL_ENDED"
    SWITCH_RESERVED = "SWITCH_RESERVED"
    SWITCHED_TO_PAID = "SWITCHED_TO_PAID"
    RENEWAL_OPTION_CHANGED = "RENEWAL_OPTION_CHANGED"
    UPGRADED = "UPGRADED"
    CONTRACT_RENEWED = "CONTRACT_RENEWED"
    CANCELLATION_RESERVED = "CANCELLATION_RESERVED"
    RESERVATION_WITHDRAWN = "RESERVATION_WITHDRAWN"
    DOMAIN_CONFIRMED = "DOMAIN_CONFIRMED"
    DOMAIN_LOST = "DOMAIN_LOST"
    ACCOUNT_RENAMED = "ACCOUNT_RENAMED"
    RENAME_HELD = "RENAME_HELD"
    RENAME_WITHDRAWN = "RENAME_WITHDRAWN"


class Addressee(StrEnum):
    """The recipient's role. Each addressee gets a separate email, so that one cannot block the other."""

    ADMINISTRATOR = "ADMINISTRATOR"
    CONTACT = "CONTACT"


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

    `event_date` and `threshold_days` are as in `Notice`. `sequence` is the number of the confirmed event, and
    0 for a notice of the daily job. `last_error` never contains the mail server's text.
    """

    number: int
    subscription_id: str
    customer_id: str
    kind: NoticeKind
    event_date: Day
    threshold_days: int
    sequence: int
    addressee: Addressee
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
    """The number of new notices. `next_after` is the cursor of the next page; None on the last page.

    On the last page, `waiting` is the number of notices that wait to be sent. `no_server` is set if no mail
    server is configured.
    """

    queued: int
    failed: tuple[MemberFailure, ...] = ()
    next_after: str | None
    waiting: int = 0
    no_server: bool = False


class NoticesWorkflowInput(Wire):
    """The progress of a run. To test the notices of a day, start a run manually with `day` only."""

    day: _JobsDay | None = None
    after: Annotated[str, AfterValidator(require_storable)] = ""
    queued: int = Field(default=0, ge=0)
    failed: int = Field(default=0, ge=0)
    failures: Annotated[tuple[MemberFailure, ...], Field(strict=False)] = ()  # a list, in JSON


class NoticesReport(Frozen):
    """The result of the job."""

    summary: str
    day: Day
    queued: int
    waiting: int
    failed: int
    failures: tuple[MemberFailure, ...]


def retry_delay(failures: int) -> timedelta:
    """Return the delay after consecutive failures: 2 s, 8 s, 32 s and so on, up to 6 hours."""
    # The limit of 8 already gives the longest delay and keeps the power small.
    factor: int = 4 ** (min(failures, 8) - 1)
    return min(_FIRST_PAUSE * factor, _LONGEST_PAUSE)
