"""An SMTP server that accepts or refuses emails, as a test requires."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from adapters.email.settings import MailServer
from dev_stack.child_server import LOOPBACK, free_ports

SENDER = Address("NAVER WORKS 알림", "notices", "works.example")
USER, PASSWORD = "worksub", "mail secret"

Answer = Callable[[str], Awaitable[str]]


class SmtpServer:
    """`async with SmtpServer() as room`: `taken` has the accepted emails in order of arrival.

    `to_recipient` and `to_message` return the responses to RCPT and DATA by the recipient's address.
    `to_sender` is the response to every MAIL command. Each is an SMTP response: a code and a text.
    """

    def __init__(
        self, port: int | None = None, *, tls: ssl.SSLContext | None = None, implicit: bool = False
    ) -> None:
        self.port = port or free_ports(1)[0]
        self.taken: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.over_tls: list[bool] = []
        self.to_sender = "250 OK"
        self.to_recipient: Callable[[str], str] = lambda recipient: "250 OK"
        self.to_message: Answer = _thanks
        self._tls, self._implicit = tls, implicit
        self._server: asyncio.Server | None = None
        self._sessions: set[SMTP] = set()

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def mail_server(self, **changes: Any) -> MailServer:
        """Return the worker's settings for this server."""
        return MailServer(**{"host": LOOPBACK, "port": self.port, "sender": SENDER, **changes})

    def to(self, recipient: str) -> list[EmailMessage]:
        return [message for message in self.taken if message["To"] == recipient]

    @property
    def message_ids(self) -> list[str]:
        return [message["Message-ID"] for message in self.taken]

    def hang_up(self) -> None:
        """Close every connection, as when the server stops."""
        for session in self._sessions:
            if isinstance(session.transport, asyncio.WriteTransport):
                session.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(
            self._session, LOOPBACK, self.port, ssl=self._tls if self._implicit else None
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.hang_up()
        await self._server.wait_closed()

    def _session(self) -> SMTP:
        offered = None if self._implicit else self._tls
        session = SMTP(
            self,
            hostname="mail.works.example",
            tls_context=offered,
            authenticator=_check if self._tls else None,
            auth_required=self._tls is not None,
            auth_require_tls=not self._implicit,
        )
        self._sessions.add(session)
        return session

    # Handlers of aiosmtpd; the first arguments are always server, session and envelope.

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.to_sender.startswith("250"):
            envelope.mail_from = address
        return self.to_sender

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.to_recipient(address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        [recipient] = envelope.rcpt_tos
        answer = await self.to_message(recipient)
        if answer.startswith("250"):
            self._keep(session, envelope)
        return answer

    def _keep(self, session: Session, envelope: Envelope) -> None:
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.taken.append(message)
        self.raw.append(envelope.content)
        self.envelopes.append((envelope.mail_from or "", list(envelope.rcpt_tos)))
        self.over_tls.append(session.ssl is not None or self._implicit)


async def _thanks(recipient: str) -> str:
    return "250 OK"


def _check(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


def plain_text(message: EmailMessage) -> str:
    """Return the plain-text part of an email."""
    body = message.get_body(("plain",))
    assert isinstance(body, EmailMessage)
    text: str = body.get_content()
    return text


@asynccontextmanager
async def silent_server() -> AsyncIterator[MailServer]:
    """Run a server that accepts connections and sends nothing, not even its greeting."""
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield MailServer(host=LOOPBACK, port=port, sender=SENDER, timeout_seconds=0.5)
    finally:
        for writer in writers:
            writer.transport.abort()
        server.close()
        await server.wait_closed()
