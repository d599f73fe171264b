"""SMTP settings (WORKSUB_SMTP_URL, WORKSUB_SMTP_PASSWORD, WORKSUB_SMTP_FROM)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from email import policy
from email.headerregistry import Address
from urllib.parse import unquote, urlsplit

_PORTS = {"smtp": 587, "smtps": 465}


class MailSettingsError(Exception):
    """A setting is missing or invalid; the message names the setting and a valid value."""


@dataclass(frozen=True)
class MailServer:
    """SMTP server and sender address. `tls` means implicit TLS from the start of the connection."""

    host: str
    port: int
    sender: Address
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    answer_seconds: float = 30.0
    """Timeout for connecting, and for sending each email."""

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


def mail_server(environment: Mapping[str, str]) -> MailServer | None:
    """Return the server of WORKSUB_SMTP_URL, or None if it is not set. Raises `MailSettingsError`."""
    url, sender = environment.get("WORKSUB_SMTP_URL"), environment.get("WORKSUB_SMTP_FROM")
    password = environment.get("WORKSUB_SMTP_PASSWORD")
    if not url:
        if sender or password:
            raise MailSettingsError(
                f"{'WORKSUB_SMTP_FROM' if sender else 'WORKSUB_SMTP_PASSWORD'} is set and WORKSUB_SMTP_URL "
                "is not. Set it to the URL of the mail server, such as smtp://user@mail.acme.example:587."
            )
        return None
    scheme, host, port, user = _parts(url)
    if (user is None) != (not password):
        raise MailSettingsError(
            "WORKSUB_SMTP_URL names a user, so WORKSUB_SMTP_PASSWORD must have the password."
            if user
            else "WORKSUB_SMTP_PASSWORD is set, so WORKSUB_SMTP_URL must name the user, "
            "as in smtp://user@mail.acme.example:587."
        )
    return MailServer(
        host=host,
        port=port or _PORTS[scheme],
        sender=_sender(sender or ""),
        tls=scheme == "smtps",
        user=user,
        password=password or None,
    )


def _parts(url: str) -> tuple[str, str, int | None, str | None]:
    wrong = MailSettingsError(
        "WORKSUB_SMTP_URL is not the URL of a mail server, as in smtp://user@mail.acme.example:587 or "
        "smtps://mail.acme.example."
    )
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise wrong from None
    if parts.password is not None:
        raise MailSettingsError(
            "WORKSUB_SMTP_URL must not contain a password. Set WORKSUB_SMTP_PASSWORD instead."
        )
    rest = parts.path.removeprefix("/") + parts.query + parts.fragment
    if parts.scheme not in _PORTS or not host or port == 0 or rest or any(c.isspace() for c in url):
        raise wrong
    return parts.scheme, host, port, unquote(parts.username) if parts.username else None


def _sender(text: str) -> Address:
    try:
        header = policy.default.header_factory("from", text)
        [sender] = header.addresses
    except ValueError:
        sender = None
    usable = sender and sender.username and sender.domain and sender.addr_spec.isascii()
    if not usable or header.defects or not text.isprintable():
        raise MailSettingsError(
            "WORKSUB_SMTP_FROM must be exactly one sender address, such as "
            "NAVER WORKS <notices@works.example>."
        )
    assert isinstance(sender, Address)
    return sender
