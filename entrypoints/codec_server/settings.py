"""Codec server settings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.settings import HostPort, SettingsError, listening_address
from adapters.temporal.encryption_keys import KEYS, KEYS_FILE, Keyring, keyring_from
from entrypoints.codec_server.authentication import (
    Authenticator,
    CombinedAuthenticator,
    Issuer,
    OidcAuthenticator,
    TokenAuthenticator,
)
from entrypoints.codec_server.operator_tokens import TokensError, names_in

_DEFAULT_ADDRESS = "127.0.0.1:8234"
_OIDC = ("WORKSUB_CODEC_OIDC_ISSUER", "WORKSUB_CODEC_OIDC_AUDIENCE", "WORKSUB_CODEC_OIDC_KEYS_URL")


@dataclass(frozen=True)
class CodecSettings:
    keyring: Keyring
    namespace: str
    address: HostPort
    origin: str
    """Allowed CORS origin, that of the Web UI: scheme, host and port, without a path."""
    callers: Authenticator
    encodes: bool
    metrics_address: HostPort | None


def codec_settings_from(environment: Mapping[str, str], namespace: str) -> CodecSettings:
    """Read the settings; raises `SettingsError` or `EncryptionSettingsError`."""
    keyring = keyring_from(environment)
    if not keyring:
        raise SettingsError(f"No encryption keys: set {KEYS_FILE} or {KEYS}.")
    return CodecSettings(
        keyring=keyring,
        namespace=namespace,
        address=_address(environment.get("WORKSUB_CODEC_ADDRESS") or _DEFAULT_ADDRESS),
        origin=_origin(environment.get("WORKSUB_CODEC_ORIGIN") or ""),
        callers=_callers(environment),
        encodes=_yes_or_no(environment.get("WORKSUB_CODEC_ENCODE") or "false"),
        metrics_address=listening_address("WORKSUB_CODEC_METRICS_ADDRESS", environment),
    )


def _address(text: str) -> HostPort:
    try:
        return HostPort.read(text)
    except ValueError:
        raise SettingsError(
            f"WORKSUB_CODEC_ADDRESS is {text!r}, which is not an IP address and a port, "
            f"as in {_DEFAULT_ADDRESS}."
        ) from None


def _origin(text: str) -> str:
    if re.fullmatch(r"https?://[^/\s*]+", text) is None:
        raise SettingsError(
            f"WORKSUB_CODEC_ORIGIN is {text!r}; it must be the origin of the Web UI, without a path, "
            "as in https://temporal.example."
        )
    return text.lower()


def _callers(environment: Mapping[str, str]) -> Authenticator:
    file = environment.get("WORKSUB_CODEC_TOKENS_FILE")
    tokens = _token_authenticator(file) if file else None
    oidc = [environment.get(name) or "" for name in _OIDC]
    if any(oidc) and not all(oidc):
        missing = ", ".join(name for name, value in zip(_OIDC, oidc, strict=True) if not value)
        raise SettingsError(f"{missing} is not set. Issuer, audience and keys URL must be set together.")
    signed_in = OidcAuthenticator(Issuer(*oidc)) if all(oidc) else None
    if tokens and signed_in:
        return CombinedAuthenticator(tokens, signed_in)
    callers = tokens or signed_in
    if callers is None:
        raise SettingsError(
            f"No caller could be authenticated: set {', '.join(_OIDC)} for users of the Web UI, "
            "or WORKSUB_CODEC_TOKENS_FILE for operators."
        )
    return callers


def _token_authenticator(file: str) -> TokenAuthenticator:
    try:
        return TokenAuthenticator(names_in(Path(file)))
    except TokensError as error:
        raise SettingsError(f"WORKSUB_CODEC_TOKENS_FILE: {error}") from None


def _yes_or_no(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise SettingsError(f"WORKSUB_CODEC_ENCODE is {text!r}; it must be true or false.")
    return text.lower() == "true"
