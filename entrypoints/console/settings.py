"""Console settings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from adapters.settings import HostPort, SettingsError

# Browsers send internationalized host names in Punycode, so only that form is accepted.
_SCHEME_AND_HOST = r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
_ISSUER = r"https?://[A-Za-z0-9._:\[\]-]+(/[^\s?#]*)?"
DEFAULT_SCOPE = "openid profile email"
THIS_MACHINE = ("localhost", "127.0.0.1")


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

    `embedded` is True for a local development stack: sign-in needs no password, and test clocks can be moved.
    `temporal_ui_url` is the page of the namespace's workflows in the Temporal Web UI, for operators.
    """

    url: str
    oidc: OidcSettings | None = None
    embedded: bool = False
    temporal_ui_url: str | None = None

    @property
    def secure(self) -> bool:
        return self.url.startswith("https://")

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the accepted values of the Host header, without the port."""
        if self.embedded:
            return THIS_MACHINE
        host = urlsplit(self.url).hostname or ""
        return (f"[{host}]" if ":" in host else host,)

    @property
    def origins(self) -> tuple[str, ...]:
        """Return the origins of the console's own pages, in the form of the Origin header."""
        parts = urlsplit(self.url)
        usual = {"http": 80, "https": 443}[parts.scheme]
        port = f":{parts.port}" if parts.port not in (None, usual) else ""
        return tuple(f"{parts.scheme}://{host}{port}" for host in self.hosts)


def console_settings(environment: Mapping[str, str], listening_at: HostPort) -> ConsoleSettings:
    """Read the settings; raises `SettingsError`. Without an issuer, no user can sign in."""
    url = (environment.get("WORKSUB_CONSOLE_URL") or "http://localhost:8080").rstrip("/")
    parts = _parts_of(url)
    return ConsoleSettings(
        url=url,
        oidc=_oidc(environment),
        embedded=_is_embedded(environment, parts.hostname, listening_at),
        temporal_ui_url=environment.get("WORKSUB_TEMPORAL_UI_URL") or None,
    )


def _parts_of(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        whole = parts.hostname and parts.port != 0 and re.fullmatch(_SCHEME_AND_HOST, url)
    except ValueError:
        whole = False
    if not whole:
        raise SettingsError(
            f"WORKSUB_CONSOLE_URL is {url!r}; it must be a scheme and a host, as in https://console.example."
        )
    return parts


def _is_embedded(environment: Mapping[str, str], host: str | None, listening_at: HostPort) -> bool:
    sign_in = environment.get("WORKSUB_CONSOLE_SIGN_IN") or "oidc"
    if sign_in not in ("oidc", "developer"):
        raise SettingsError(f"WORKSUB_CONSOLE_SIGN_IN is {sign_in!r}; it must be oidc or developer.")
    if sign_in == "developer" and host not in THIS_MACHINE:
        raise SettingsError(
            "WORKSUB_CONSOLE_SIGN_IN is developer, which allows every user to sign in as any customer or "
            f"operator, so WORKSUB_CONSOLE_URL must be on {' or '.join(THIS_MACHINE)}."
        )
    # A client that reaches the port can forge the Host header "localhost", so the listening address itself
    # must be a loopback address.
    if sign_in == "developer" and not ip_address(listening_at.host).is_loopback:
        raise SettingsError(
            "WORKSUB_CONSOLE_SIGN_IN is developer, which allows every user to sign in as any customer or "
            "operator, so WORKSUB_API_ADDRESS must be a loopback address such as 127.0.0.1:8080, and not "
            f"{listening_at}."
        )
    return sign_in == "developer"


def _oidc(environment: Mapping[str, str]) -> OidcSettings | None:
    issuer = environment.get("WORKSUB_OIDC_ISSUER")
    if not issuer:
        return None
    client_id = environment.get("WORKSUB_OIDC_CLIENT_ID")
    client_secret = environment.get("WORKSUB_OIDC_CLIENT_SECRET")
    if not client_id or not client_secret:
        raise SettingsError(
            "WORKSUB_OIDC_ISSUER is set, so WORKSUB_OIDC_CLIENT_ID and WORKSUB_OIDC_CLIENT_SECRET "
            "must be set too."
        )
    return OidcSettings(
        issuer=_issuer(issuer),
        client_id=client_id,
        client_secret=client_secret,
        customer_claim=environment.get("WORKSUB_OIDC_CUSTOMER_CLAIM") or "customer_id",
        operator_claim=environment.get("WORKSUB_OIDC_OPERATOR_CLAIM") or "groups",
        operator_group=environment.get("WORKSUB_OIDC_OPERATOR_GROUP") or "worksub-operators",
        scope=_scope(environment.get("WORKSUB_OIDC_SCOPE") or DEFAULT_SCOPE),
    )


def _issuer(text: str) -> str:
    if re.fullmatch(_ISSUER, text) is None or "/.well-known/" in text:
        raise SettingsError(
            f"WORKSUB_OIDC_ISSUER is {text!r}; it must be the issuer's URL, as in https://login.example, "
            "without /.well-known/openid-configuration."
        )
    return text.rstrip("/")


def _scope(text: str) -> str:
    scopes = text.split()
    if "openid" not in scopes:
        raise SettingsError(
            f"WORKSUB_OIDC_SCOPE is {text!r}; it must contain openid, as in {DEFAULT_SCOPE!r}."
        )
    return " ".join(scopes)
