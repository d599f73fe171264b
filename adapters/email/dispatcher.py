"""Notice dispatcher: a loop in every worker that sends the waiting notices of the outbox.

All workers share the outbox through row locks. If a worker dies after the mail server has accepted an email
and before the notice is marked as sent, the email is sent again with the same message ID.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from adapters.email.notice_emails import NoticeEmails
from adapters.email.settings import MailServer
from adapters.email.smtp_sender import (
    SmtpConnectionLostError,
    SmtpRejectedError,
    SmtpSender,
    SmtpServerError,
    build_message,
)
from adapters.outages import concerns_all
from adapters.postgres import notice_outbox
from adapters.postgres.notice_outbox import DueNotice
from adapters.postgres.pool import DATABASE_ERRORS, Pool
from adapters.postgres.price_book_repository import load_price_book
from subscription.business_calendar import day_of
from subscription.catalogue import PriceBook
from subscription.notice_outbox import retry_delay

POLL_SECONDS = 2.0
# This time plus the worker's 20 seconds is less than the 30 seconds after which the container is killed.
_FINISH_SECONDS = 3.0
_MAX_PAUSE_SECONDS = 60.0
"""The longest pause before the next attempt to use an unavailable mail server."""
_NOTICES_PER_PAGE = 100
_MAX_CONSECUTIVE_INTERRUPTIONS = 3
_PAUSE_AFTER_UNEXPECTED_ERROR = timedelta(hours=1)

CONNECTIONS = 2
"""Database connections: one holds the row lock of the notice that is being sent."""

_log = logging.getLogger(__name__)


class _Outcome(Enum):
    SENT = auto()
    UNDELIVERABLE = auto()
    DEFERRED = auto()
    INTERRUPTED = auto()
    FAILED = auto()
    SKIPPED = auto()
    """Another worker has claimed the notice, or it is outdated."""


@dataclass(frozen=True)
class DeliveryResult:
    """The result of one pass. `trouble` is the reason why no email can be sent at present."""

    sent: int = 0
    undeliverable: int = 0
    trouble: str | None = None


@asynccontextmanager
async def run_notice_dispatcher(
    pool: Pool, server: MailServer, emails: NoticeEmails, *, poll_seconds: float = POLL_SECONDS
) -> AsyncIterator[None]:
    """Send notices until the context exits; an email in flight then has a short time to finish."""
    dispatcher = NoticeDispatcher(pool, server, emails)
    working = asyncio.create_task(dispatcher.work(poll_seconds))
    try:
        yield
    finally:
        dispatcher.stop()
        _, late = await asyncio.wait({working}, timeout=_FINISH_SECONDS)
        for task in late:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await working


class NoticeDispatcher:
    """Sends the waiting notices, one after another over one connection."""

    def __init__(self, pool: Pool, server: MailServer, emails: NoticeEmails) -> None:
        self._pool = pool
        self._server = server
        self._emails = emails
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End the loop after the email in flight."""
        self._stopping.set()

    async def work(self, poll_seconds: float) -> None:
        """Send notices until stopped. If the mail server is unavailable, the pauses grow up to a minute."""
        failures = 0
        while not self._stopping.is_set():
            try:
                result = await self.deliver_due()
                failures = failures + 1 if result.trouble else 0
            except DATABASE_ERRORS:
                pass  # the database is unavailable; the next poll retries
            except Exception:
                _log.exception("Notice dispatcher failed unexpectedly; continuing")
            pause = min(retry_delay(failures).total_seconds(), _MAX_PAUSE_SECONDS) if failures else 0
            with suppress(TimeoutError):
                async with asyncio.timeout(max(poll_seconds, pause)):
                    await self._stopping.wait()

    async def deliver_due(self) -> DeliveryResult:
        """Send every notice that may be attempted now. A notice that no longer applies becomes outdated."""
        outcomes: Counter[_Outcome] = Counter()
        trouble = None
        if page := await notice_outbox.due_notices(self._pool, _NOTICES_PER_PAGE):
            try:
                async with SmtpSender(self._server) as sender:
                    while page and await self._deliver_page(sender, page, outcomes):
                        page = await notice_outbox.due_notices(self._pool, _NOTICES_PER_PAGE)
            except SmtpServerError as error:
                trouble = str(error)
                _log.warning("the mail server is unavailable", extra={"fields": {"reason": trouble}})
                await notice_outbox.set_waiting_reason(self._pool, trouble)
        return DeliveryResult(outcomes[_Outcome.SENT], outcomes[_Outcome.UNDELIVERABLE], trouble)

    async def _deliver_page(
        self, sender: SmtpSender, page: list[DueNotice], outcomes: Counter[_Outcome]
    ) -> bool:
        """Attempt each notice of a page; return whether another page may be attempted now."""
        book = await load_price_book(self._pool)
        interrupted, attempted = 0, False
        for due in page:
            if self._stopping.is_set():
                return False
            outcome = await self._deliver(sender, due, book)
            outcomes[outcome] += 1
            attempted = attempted or outcome is not _Outcome.SKIPPED
            # One interrupted email may be the fault of that email; several in a row are the server's fault.
            interrupted = interrupted + 1 if outcome is _Outcome.INTERRUPTED else 0
            if interrupted == _MAX_CONSECUTIVE_INTERRUPTIONS:
                raise SmtpServerError("the mail server repeatedly closes the connection")
        # If other workers have claimed the whole page, leave the rest to them.
        return attempted

    async def _deliver(self, sender: SmtpSender, due: DueNotice, book: PriceBook) -> _Outcome:
        """Attempt one notice. An unexpected error concerns only this notice, which is rescheduled."""
        try:
            if due.is_confirmation:
                await notice_outbox.refresh_address(self._pool, due.number, book)
            else:
                day = max(due.due_on, day_of(datetime.now(UTC)))
                await notice_outbox.sync_notices(self._pool, due.subscription_id, day, book, self._emails)
            await sender.ready()
            return await self._attempt(sender, due.number)
        except Exception as error:
            if isinstance(error, SmtpServerError) or concerns_all(error):
                raise
            fields = {"notice": due.number, "subscription_id": due.subscription_id}
            _log.exception("a notice could not be sent", extra={"fields": fields})
            reason = f"unexpected error ({type(error).__name__})"
            async with self._pool.acquire() as connection:
                await notice_outbox.reschedule(connection, due.number, _PAUSE_AFTER_UNEXPECTED_ERROR, reason)
            return _Outcome.FAILED

    async def _attempt(self, sender: SmtpSender, number: int) -> _Outcome:
        async with notice_outbox.claim(self._pool, number) as (connection, notice):
            if notice is None:
                return _Outcome.SKIPPED
            try:
                message = build_message(notice.email, self._server.sender, notice.name)
                await sender.send(message, notice.email.recipient)
            except SmtpRejectedError as error:
                given_up = await notice_outbox.record_failure(
                    connection, notice, str(error), is_permanent=error.for_good
                )
                return _Outcome.UNDELIVERABLE if given_up else _Outcome.DEFERRED
            except SmtpConnectionLostError as error:
                given_up = await notice_outbox.record_failure(
                    connection, notice, str(error), is_permanent=False
                )
                return _Outcome.UNDELIVERABLE if given_up else _Outcome.INTERRUPTED
            await notice_outbox.mark_sent(connection, number)
            return _Outcome.SENT
