"""Codec server settings."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo, field_validator

from adapters.settings import EncryptionSettings, HostPort, ListenAddress, LogSettings
from adapters.temporal.encryption_keys import KEYS, Keyring
from entrypoints.codec_server.operator_tokens import names_in

if TYPE_CHECKING:
    from entrypoints.codec_server.authentication import Authenticator


def _origin(text: str) -> str:
    if re.fullmatch(r"https?://[^/\s*]+", text) is None:
        raise ValueError(f"is {text!r}; it must be the origin of the Web UI, without a path")
    return text.lower()


class CodecSettings(EncryptionSettings, LogSettings):
    """Settings of the codec server."""

    address: ListenAddress = Field(
        HostPort("127.0.0.1", 8234), validation_alias="WORKSUB_CODEC_ADDRESS", examples=["127.0.0.1:8234"]
    )
    """Listen address of [the codec server](encryption.md#codec-server)."""
    metrics_address: ListenAddress | None = Field(
        None, validation_alias="WORKSUB_CODEC_METRICS_ADDRESS", examples=["127.0.0.1:9467"]
    )
    """Listen address of the codec server's Prometheus endpoint: [metrics](monitoring.md#metrics)."""
    origin: Annotated[str, AfterValidator(_origin)] = Field(
        validation_alias="WORKSUB_CODEC_ORIGIN", examples=["https://temporal.example"]
    )
    """Allowed CORS origin, that of the Web UI: scheme, host and port, without a path."""
    allow_encode: bool = Field(False, validation_alias="WORKSUB_CODEC_ENCODE", examples=["true"])
    """`true` allows the codec server to encrypt, so that commands can be sent from the Web UI."""
    token_names: Annotated[dict[str, str], PlainValidator(lambda file: names_in(Path(file)))] | None = Field(
        None, validation_alias="WORKSUB_CODEC_TOKENS_FILE", repr=False, examples=["/etc/worksub/tokens"]
    )
    """Operators' tokens, as `NAME:SHA256`, one per line."""
    oidc_audience: str | None = Field(None, validation_alias="WORKSUB_CODEC_OIDC_AUDIENCE")
    """Required audience of access tokens; use a separate audience for the codec server."""
    oidc_keys_url: str | None = Field(
        None, validation_alias="WORKSUB_CODEC_OIDC_KEYS_URL", examples=["https://login.example/keys"]
    )
    """URL of the issuer's keys (JWKS)."""
    oidc_issuer: str | None = Field(
        None,
        validation_alias="WORKSUB_CODEC_OIDC_ISSUER",
        validate_default=True,
        examples=["https://login.example"],
    )
    """Issuer of the accepted access tokens."""

    @field_validator("keyring")
    @classmethod
    def _has_keys(cls, keyring: Keyring) -> Keyring:
        if not keyring:
            raise ValueError(f"and {KEYS} are not set, so there is no key")
        return keyring

    @field_validator("oidc_issuer")
    @classmethod
    def _authenticates(cls, issuer: str | None, info: ValidationInfo) -> str | None:
        oidc = (issuer, info.data["oidc_audience"], info.data["oidc_keys_url"])
        if any(oidc) and not all(oidc):
            raise ValueError(
                "must be set together with WORKSUB_CODEC_OIDC_AUDIENCE and WORKSUB_CODEC_OIDC_KEYS_URL"
            )
        if issuer is None and info.data.get("token_names", ()) is None:
            raise ValueError("and WORKSUB_CODEC_TOKENS_FILE are not set, so no caller could be authenticated")
        return issuer

    @property
    def authenticator(self) -> "Authenticator":
        from entrypoints.codec_server.authentication import (
            CombinedAuthenticator,
            Issuer,
            OidcAuthenticator,
            TokenAuthenticator,
        )

        tokens = None if self.token_names is None else TokenAuthenticator(self.token_names)
        if not (self.oidc_issuer and self.oidc_audience and self.oidc_keys_url):
            assert tokens is not None
            return tokens
        users = OidcAuthenticator(Issuer(self.oidc_issuer, self.oidc_audience, self.oidc_keys_url))
        return users if tokens is None else CombinedAuthenticator(tokens, users)
