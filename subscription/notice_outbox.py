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
# Far enough inside what Python can count for the days that lie before and after it.
_JobsDay = Annotated[Day, Field(ge=date(1000, 1, 1), le=date(9900, 12, 31))]


class NoticeKind(StrEnum):
    """What a customer is told of. The names are a public interface; docs/notices.md explains them."""

    TRIAL_ENDING = "TRIAL_ENDING"
    SWITCH_DUE = "SWITCH_DUE"
    CANCELLATION_DUE = "CANCELLATION_DUE"
    CONTRACT_ENDING = "CONTRACT_ENDING"
    DOMAIN_UNPROVED = "DOMAIN_UNPROVED"
    RENAME_UNPROVED = "RENAME_UNPROVED"


class NoticeState(StrEnum):
    WAITING = "WAITING"
    SENT = "SENT"
    """The mail server has taken it."""
    OUTDATED = "OUTDATED"
    """Before it was sent, what it said was no longer so, or a nearer notice took its place."""
    GIVEN_UP = "GIVEN_UP"
    """The mail server has refused it for good, or too often."""


class OutboxNotice(Frozen):
    """A notice in the outbox. Its letter names a person, so it is gone after erasure or retention.

    `about` and `days` are as in `Notice`. `last_error` never has the mail server's own words.
    """

    number: int
    subscription_id: str
    customer_id: str
    kind: NoticeKind
    about: Day
    days: int
    state: NoticeState
    attempts: int
    last_error: str | None
    queued_at: Instant
    next_attempt_at: Instant | None
    settled_at: Instant | None
    recipient: str | None
    subject: str | None
    body: str | None


class QueueNoticesInput(Frozen):
    """Put into the outbox what is due on a day, for a page of subscriptions after the id `after`."""

    day: Day
    after: str = ""


class QueueNoticesResult(Frozen):
    """So many notices are new; `next_after` is where the next page begins, None if there is none."""

    told: int
    failed: tuple[MemberFailure, ...] = ()
    next_after: str | None


class DeliverNoticesInput(Frozen):
    """Send a page of what waits, if it still holds on this day."""

    day: Day


class DeliverNoticesResult(Frozen):
    """What a page came to.

    `waiting` counts all that is left, of which `more` can be tried at once. `trouble` is why nothing can
    be sent at present, `no_server` that no mail server is set. `next_in_seconds` is when the next of
    those that were put off may be tried.
    """

    sent: int = 0
    given_up: int = 0
    waiting: int
    more: bool = False
    trouble: str | None = None
    failed: tuple[MemberFailure, ...] = ()
    no_server: bool = False
    next_in_seconds: float | None = None


class NoticesWorkflowInput(Wire):
    """How far a run has come. Who starts one by hand may set `day`, to see what is told on it."""

    day: _JobsDay | None = None
    after: Annotated[str, AfterValidator(require_storable)] = ""
    told: int = Field(default=0, ge=0)
    failed: int = Field(default=0, ge=0)
    failures: Annotated[tuple[MemberFailure, ...], Field(strict=False)] = ()  # a list, in JSON


class NoticesDeliveryInput(Wire):
    """Go on trying what waits. `day` as in `NoticesWorkflowInput`."""

    day: _JobsDay | None = None


class NoticesReport(Frozen):
    """What the job says when it is done."""

    summary: str
    day: Day
    told: int
    sent: int
    given_up: int
    waiting: int
    failed: int
    failures: tuple[MemberFailure, ...]


def retry_delay(failures: int) -> timedelta:
    """How long to wait after so many failures in a row: 2 s, 8 s, 32 s and so on, up to 6 hours."""
    # Beyond 8 the longest pause is reached, and the powers would only grow.
    factor: int = 4 ** (min(failures, 8) - 1)
    return min(_FIRST_PAUSE * factor, _LONGEST_PAUSE)
