"""Console settings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from adapters.settings import ConsoleUrl, Settings

_ISSUER = r"https?://[A-Za-z0-9._:\[\]-]+(/[^\s?#]*)?"
DEFAULT_SCOPE = "openid profile email"
LOOPBACK_HOSTS = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class OidcSettings:
    """OpenID Connect issuer, and the claims that identify customers and operators."""

    issuer: str
    client_id: str
    client_secret: str
    customer_claim: str = "customer_id"
    operator_claim: str = "groups"
    operator_group: str = "worksub-operators"
    scope: str = DEFAULT_SCOPE

    def is_operator(self, claims: Mapping[str, Any]) -> bool:
        """Return True if the groups claim is, or contains, the operators' group."""
        groups = claims.get(self.operator_claim)
        return groups == self.operator_group or (
            isinstance(groups, list | dict) and self.operator_group in groups
        )


@dataclass(frozen=True)
class ConsoleSettings:
    """Settings of the console. `url` is its public URL; with https, cookies are `Secure` and `__Host-`.

    `developer_sign_in` is True for a local stack: sign-in needs no password, and test clocks can be moved.
    `temporal_ui_url` is the page of the namespace's workflows in the Temporal Web UI, for operators.
    """

    url: str
    oidc: OidcSettings | None = None
    developer_sign_in: bool = False
    temporal_ui_url: str | None = None

    @property
    def secure(self) -> bool:
        return self.url.startswith("https://")

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the accepted values of the Host header, without the port."""
        if self.developer_sign_in:
            return LOOPBACK_HOSTS
        host = urlsplit(self.url).hostname or ""
        return (f"[{host}]" if ":" in host else host,)

    @property
    def origins(self) -> tuple[str, ...]:
        """Return the origins of the console's own pages, in the form of the Origin header."""
        parts = urlsplit(self.url)
        default = {"http": 80, "https": 443}[parts.scheme]
        port = f":{parts.port}" if parts.port not in (None, default) else ""
        return tuple(f"{parts.scheme}://{host}{port}" for host in self.hosts)


def _scope(text: str) -> str:
    if "openid" not in text.split():
        raise ValueError(f"is {text!r}; it must contain openid")
    return " ".join(text.split())


class ConsoleEnvironment(Settings):
    """Variables of the console. Without an issuer, no user can sign in."""

    console_url: ConsoleUrl = Field(
        "http://localhost:8080", validation_alias="WORKSUB_CONSOLE_URL", examples=["https://console.example"]
    )
    """Public URL of [the console](console.md): scheme and host; by default the console's is
    `http://localhost:8080`. The console accepts only that host. If set, [notices](notices.md) have links."""
    console_sign_in: Literal["oidc", "developer"] = Field("oidc", validation_alias="WORKSUB_CONSOLE_SIGN_IN")
    """`developer` allows sign-in on this machine as any customer, and test clocks: for `worksub dev` only.
    `WORKSUB_API_ADDRESS` must then be a loopback address."""
    temporal_ui_url: str | None = Field(
        None,
        validation_alias="WORKSUB_TEMPORAL_UI_URL",
        examples=["https://ui.example/namespaces/default/workflows"],
    )
    """Workflow page of Temporal's Web UI, for operators; without it, the console has no links."""
    oidc_client_id: str | None = Field(None, validation_alias="WORKSUB_OIDC_CLIENT_ID")
    """Client ID of the console."""
    oidc_client_secret: str | None = Field(None, validation_alias="WORKSUB_OIDC_CLIENT_SECRET", repr=False)
    """Client secret of the console."""
    oidc_customer_claim: str = Field(
        OidcSettings.customer_claim, validation_alias="WORKSUB_OIDC_CUSTOMER_CLAIM"
    )
    """Claim that contains the customer ID."""
    oidc_operator_claim: str = Field(
        OidcSettings.operator_claim, validation_alias="WORKSUB_OIDC_OPERATOR_CLAIM"
    )
    """Claim that identifies operators."""
    oidc_operator_group: str = Field(
        OidcSettings.operator_group, validation_alias="WORKSUB_OIDC_OPERATOR_GROUP"
    )
    """The claim's value, or one of its values, for operators."""
    oidc_scope: Annotated[str, AfterValidator(_scope)] = Field(
        OidcSettings.scope, validation_alias="WORKSUB_OIDC_SCOPE", examples=[OidcSettings.scope]
    )
    """Requested scopes; add the scope that provides the claims of customers and operators."""
    oidc: OidcSettings | None = Field(
        None, validation_alias="WORKSUB_OIDC_ISSUER", examples=["https://login.example"]
    )
    """OpenID Connect issuer for [the console](console.md#authentication); without it, sign-in is disabled."""

    @field_validator("console_sign_in")
    @classmethod
    def _only_on_this_machine(cls, sign_in: str, info: ValidationInfo) -> str:
        url = info.data.get("console_url")
        if sign_in == "developer" and url and urlsplit(url).hostname not in LOOPBACK_HOSTS:
            raise ValueError(
                "is developer, which allows every user to sign in as any customer or operator, so "
                f"WORKSUB_CONSOLE_URL must be on {' or '.join(LOOPBACK_HOSTS)}"
            )
        return sign_in

    @field_validator("oidc", mode="plain")
    @classmethod
    def _oidc(cls, issuer: str | None, info: ValidationInfo) -> OidcSettings | None:
        if not issuer:
            return None
        if re.fullmatch(_ISSUER, issuer) is None or "/.well-known/" in issuer:
            raise ValueError(
                f"is {issuer!r}; it must be the issuer's URL without /.well-known/openid-configuration"
            )
        client_id, client_secret = info.data["oidc_client_id"], info.data["oidc_client_secret"]
        if not client_id or not client_secret:
            raise ValueError("requires WORKSUB_OIDC_CLIENT_ID and WORKSUB_OIDC_CLIENT_SECRET")
        return OidcSettings(
            issuer.rstrip("/"),
            client_id,
            client_secret,
            info.data["oidc_customer_claim"],
            info.data["oidc_operator_claim"],
            info.data["oidc_operator_group"],
            info.data.get("oidc_scope", DEFAULT_SCOPE),
        )

    @property
    def console(self) -> ConsoleSettings:
        return ConsoleSettings(
            url=self.console_url,
            oidc=self.oidc,
            developer_sign_in=self.console_sign_in == "developer",
            temporal_ui_url=self.temporal_ui_url,
        )
