"""SMTP settings."""

from dataclasses import dataclass, field
from email import policy
from email.headerregistry import Address
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import Field, PlainValidator, ValidationInfo, field_validator

from adapters.settings import Settings

_PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True)
class MailServer:
    """SMTP server and sender address. `tls` means implicit TLS from the start of the connection."""

    host: str
    port: int
    sender: Address
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout_seconds: float = 30.0
    """Timeout for connecting, and for sending each email."""

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


def _sender(text: str) -> Address:
    try:
        header = policy.default.header_factory("from", text)
        [sender] = header.addresses
    except ValueError:
        sender = None
    usable = sender and sender.username and sender.domain and sender.addr_spec.isascii()
    if not usable or header.defects or not text.isprintable():
        raise ValueError("must be exactly one sender address")
    assert isinstance(sender, Address)
    return sender


class SmtpSettings(Settings):
    smtp_password: str | None = Field(None, validation_alias="WORKSUB_SMTP_PASSWORD", repr=False)
    """Password of the user in `WORKSUB_SMTP_URL`."""
    smtp_sender: Annotated[Address, PlainValidator(_sender)] | None = Field(
        None, validation_alias="WORKSUB_SMTP_FROM", examples=["NAVER WORKS <notices@works.example>"]
    )
    """Sender of notices."""
    mail_server: MailServer | None = Field(
        None,
        validation_alias="WORKSUB_SMTP_URL",
        validate_default=True,
        repr=False,
        examples=["smtp://user@mail.acme.example:587"],
    )
    """Mail server, `smtps://` for implicit TLS; without it, [notices](notices.md) are stored and not sent."""

    @field_validator("mail_server", mode="plain")
    @classmethod
    def _mail_server(cls, url: str | None, info: ValidationInfo) -> MailServer | None:
        password, sender = info.data["smtp_password"], info.data.get("smtp_sender")
        if not url:
            if sender or password:
                raise ValueError(
                    f"is not set, but {'WORKSUB_SMTP_FROM' if sender else 'WORKSUB_SMTP_PASSWORD'} is"
                )
            return None
        scheme, host, port, user = _parts(url)
        if user and not password:
            raise ValueError("names a user, so WORKSUB_SMTP_PASSWORD must be set")
        if password and not user:
            raise ValueError("must name the user, because WORKSUB_SMTP_PASSWORD is set")
        if "smtp_sender" in info.data and not sender:
            raise ValueError("requires WORKSUB_SMTP_FROM, the sender")
        if sender is None:
            return None
        return MailServer(
            host, port or _PORTS[scheme], sender, tls=scheme == "smtps", user=user, password=password
        )


def _parts(url: str) -> tuple[str, str, int | None, str | None]:
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise ValueError("is not the URL of a mail server") from None
    if parts.password is not None:
        raise ValueError("must not contain a password, which belongs in WORKSUB_SMTP_PASSWORD")
    rest = parts.path.removeprefix("/") + parts.query + parts.fragment
    if parts.scheme not in _PORTS or not host or port == 0 or rest or any(c.isspace() for c in url):
        raise ValueError("is not the URL of a mail server")
    return parts.scheme, host, port, unquote(parts.username) if parts.username else None
