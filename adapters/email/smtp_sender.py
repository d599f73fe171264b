"""SMTP delivery, with errors mapped to temporary, permanent and server-wide failures.

Error messages contain only the SMTP status codes of the server, because its texts contain the address.
"""

import asyncio
import contextlib
import hashlib
import re
import ssl
from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from types import TracebackType
from typing import Self

import aiosmtplib

from adapters.email.notice_emails import NoticeEmail
from adapters.email.settings import MailServer

_CLOSING = 421
_ENHANCED_CODE = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?=\s)")


class SmtpServerError(Exception):
    """The server accepts no email at present; the message contains the reason."""


class SmtpConnectionLostError(Exception):
    """The connection broke or timed out during a send; the server may have accepted the email."""


class SmtpRejectedError(Exception):
    """The server has rejected this email, permanently (`for_good`) or temporarily."""

    def __init__(self, message: str, *, for_good: bool) -> None:
        super().__init__(message)
        self.for_good = for_good


def build_message(email: NoticeEmail, sender: Address, name: str) -> EmailMessage:
    """Build the MIME message of a notice email.

    The Message-ID is derived from `name`, so that the receiver can recognize duplicates.
    """
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = sender
    message["To"] = email.recipient
    message["Subject"] = email.subject
    message["Date"] = datetime.now(UTC)
    message["Message-ID"] = f"<{hashlib.sha256(name.encode()).hexdigest()[:32]}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    # base64, because some servers do not support 8BITMIME.
    message.set_content(email.body, cte="base64")
    message.add_alternative(email.html, subtype="html", cte="base64")
    message["Content-Language"] = "ko, en"
    return message


class SmtpSender:
    """SMTP connection, used as `async with SmtpSender(server) as mailer`.

    `ready` connects on first use, and again after the connection broke.
    """

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._connection: aiosmtplib.SMTP | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._connection and self._connection.is_connected:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(self._server.timeout_seconds):
                    await self._connection.quit()
        self._disconnect()

    async def ready(self) -> None:
        """Connect unless connected. Raises `SmtpServerError`."""
        if self._connection and self._connection.is_connected:
            return
        server = self._server
        self._connection = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.tls,
            # None means STARTTLS if the server offers it; with a password it is required.
            start_tls=True if server.user and not server.tls else None,
            timeout=server.timeout_seconds,
        )
        try:
            async with asyncio.timeout(server.timeout_seconds):
                await self._connection.connect()
        except Exception as error:
            self._disconnect()
            raise SmtpServerError(_why_not_connected(error)) from None

    async def send(self, message: EmailMessage, recipient: str) -> None:
        """Send one email. Raises `SmtpRejectedError`, `SmtpConnectionLostError` or `SmtpServerError`."""
        assert self._connection is not None
        try:
            async with asyncio.timeout(self._server.timeout_seconds):
                await self._connection.sendmail(
                    self._server.sender.addr_spec, [recipient], message.as_bytes()
                )
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise self._refused("the address", error.recipients[0]) from None
        except aiosmtplib.SMTPDataError as error:
            raise self._refused("the message", error) from None
        except aiosmtplib.SMTPResponseException as error:
            self._disconnect()
            closing = error.code == _CLOSING
            problem = "the mail server closes the connection" if closing else "the sender is refused"
            raise SmtpServerError(f"{problem}: {_code(error)}") from None
        except TimeoutError:
            self._disconnect()
            raise SmtpConnectionLostError("the mail server does not answer") from None
        except (aiosmtplib.SMTPException, OSError):
            self._disconnect()
            raise SmtpConnectionLostError("the connection to the mail server broke") from None

    def _refused(
        self, subject: str, error: aiosmtplib.SMTPResponseException
    ) -> SmtpRejectedError | SmtpServerError:
        if error.code == _CLOSING:
            self._disconnect()
            return SmtpServerError(f"the mail server closes the connection: {_code(error)}")
        return SmtpRejectedError(f"{subject} is refused: {_code(error)}", for_good=error.code >= 500)

    def _disconnect(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None


def _why_not_connected(error: Exception) -> str:
    causes: list[BaseException] = []
    current: BaseException | None = error
    while current:
        causes.append(current)
        current = current.__cause__
    match error:
        case _ if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
            return "the mail server's certificate is not trusted"
        case _ if any(isinstance(cause, ssl.SSLError) for cause in causes):
            return "the TLS handshake with the mail server failed"
        case aiosmtplib.SMTPAuthenticationError():
            return f"the mail server refuses the login: {_code(error)}"
        case aiosmtplib.SMTPResponseException():
            return f"the mail server refuses the connection: {_code(error)}"
        case TimeoutError():
            return "the mail server does not answer"
        case aiosmtplib.SMTPException() if not isinstance(error, OSError):
            return "the mail server does not support TLS or authentication, which the settings require"
        case _:
            return "the mail server cannot be reached"


def _code(error: aiosmtplib.SMTPResponseException) -> str:
    """Return the status code and the enhanced status code, without the text."""
    enhanced = _ENHANCED_CODE.match(error.message)
    return f"{error.code} {enhanced[0]}" if enhanced else str(error.code)
