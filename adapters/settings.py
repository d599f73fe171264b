"""Settings from environment variables: the base class, and the settings that several processes share."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PlainValidator, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from adapters.files import TooLargeError, read_text
from adapters.observability.logging import LogFormat
from adapters.postgres.pool import DatabaseError, validate_url
from adapters.settings_error import SettingsError
from adapters.temporal.encryption_keys import KEYS, KEYS_FILE, Keyring, keyring_from
from subscription.catalogue import Catalogue, CatalogueError, parse_catalogue

_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

DEFAULT_CATALOGUE = Path(__file__).parents[1] / "catalogue.toml"


class HostPort(NamedTuple):
    """An IP address and port to listen on or to connect to."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, default_port: str = "") -> Self:
        """Parse an address such as 1.1.1.1:53 or [::1]:53; raises `ValueError`."""
        bare = text.count(":") != 1 and "]:" not in text
        host, _, port = (text, "", default_port) if bare else text.rpartition(":")
        address = cls(str(ip_address(host.strip("[]"))), int(port))
        if not 1 <= address.port <= 65535:
            raise ValueError
        return address

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Settings(BaseSettings):
    """Settings of a process. A field's `validation_alias` is its variable; an empty variable is not set.

    A validator raises `ValueError` with the end of a sentence that begins with the variable's name; the
    field's example is added. Messages contain no value of a field with `repr=False`.

    Variables that make one object have separate fields. The last of them creates the object from
    `ValidationInfo.data`, which does not contain invalid fields.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        case_sensitive=True,
        extra="ignore",
        enable_decoding=False,
        validate_default=False,
        arbitrary_types_allowed=True,
    )

    @classmethod
    def load(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings; raises `SettingsError` with one line for each invalid setting."""
        source = EnvSettingsSource(cls)
        source.env_vars = {name: value for name, value in environment.items() if value}
        try:
            return cls(**source())
        except ValidationError as error:
            raise SettingsError("\n".join(map(cls._message, error.errors()))) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read only the mapping that `load` receives, and not `os.environ`."""
        return (init_settings,)

    @classmethod
    def _message(cls, error: ErrorDetails) -> str:
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, SettingsError):
            return str(cause)
        place = error["loc"][0]  # the variable, or the field's name if its default is invalid
        [field] = (f for name, f in cls.model_fields.items() if place in (name, f.validation_alias))
        if cause:
            problem = str(cause)
        elif error["type"] == "missing":
            problem = "is not set"
        else:
            problem = f"is {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"
        example = f" Example: {field.examples[0]}" if field.examples else ""
        return f"{field.validation_alias} {problem}.{example}"


def _listen_address(text: str) -> HostPort:
    try:
        return HostPort.parse(text)
    except ValueError:
        raise ValueError(f"is {text!r}, which is not an IP address and a port") from None


ListenAddress = Annotated[HostPort, PlainValidator(_listen_address)]


def _database_url(url: str) -> str:
    try:
        validate_url(url)
    except DatabaseError as error:
        raise SettingsError(str(error)) from None
    return url


class DatabaseSettings(Settings):
    database_url: Annotated[str, AfterValidator(_database_url)] = Field(
        validation_alias="DATABASE_URL", repr=False, examples=["postgresql://worksub@localhost:5432/worksub"]
    )
    """URL of PostgreSQL; `?sslmode=verify-full` enables verified TLS."""


def _log_levels(text: str) -> Mapping[str, str]:
    levels = {}
    for item in text.split(","):
        name, _, level = item.strip().partition("=")
        if not name or level not in _LOG_LEVELS:
            raise ValueError(f"contains {item!r}, which is not a module and one of {', '.join(_LOG_LEVELS)}")
        levels[name] = level
    return levels


# Browsers send internationalized host names in Punycode, so only that form is accepted.
_SCHEME_AND_HOST = r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"


def _console_url(text: str) -> str:
    url = text.rstrip("/")
    try:
        parts = urlsplit(url)
        valid = parts.hostname and parts.port != 0 and re.fullmatch(_SCHEME_AND_HOST, url)
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"is {text!r}; it must be a scheme and a host")
    return url


ConsoleUrl = Annotated[str, AfterValidator(_console_url)]


class LogSettings(Settings):
    log_format: LogFormat = Field(LogFormat.TEXT, validation_alias="WORKSUB_LOG_FORMAT")
    """`text` or `json`: [logs](monitoring.md#logs)."""
    log_levels: Annotated[Mapping[str, str], PlainValidator(_log_levels)] = Field(
        {}, validation_alias="WORKSUB_LOG_LEVELS", examples=["entrypoints.http=WARNING,activities=ERROR"]
    )
    """[Log levels](monitoring.md#logs) of modules and packages, separated by commas."""


class EncryptionSettings(Settings):
    encryption_keys: str | None = Field(None, validation_alias=KEYS, repr=False)
    """The keys themselves, separated by commas, instead of the file."""
    keyring: Keyring = Field(
        Keyring(), validation_alias=KEYS_FILE, validate_default=True, examples=["/etc/worksub/keys"]
    )
    """File with [encryption keys](encryption.md); without keys, Temporal payloads are not encrypted."""

    @field_validator("keyring", mode="plain")
    @classmethod
    def _keyring(cls, file: str | Keyring, info: ValidationInfo) -> Keyring:
        return keyring_from({KEYS: info.data["encryption_keys"] or "", KEYS_FILE: str(file or "")})


class WebhookSettings(Settings):
    webhook_targets: Literal["public", "any"] = Field("public", validation_alias="WORKSUB_WEBHOOK_TARGETS")
    """Allowed targets of [webhooks](webhooks.md#allowed-targets): `public`, or `any` to allow internal
    addresses and plain HTTP."""

    @property
    def allow_private_webhook_targets(self) -> bool:
        """Return whether the SSRF protection of `adapters.webhooks.url_policy` is disabled."""
        return self.webhook_targets == "any"


def read_catalogue(path: Path) -> Catalogue:
    """Read a catalogue file; raises `SettingsError`, whose message names every invalid line."""
    try:
        return parse_catalogue(read_text(path), str(path))
    except TooLargeError as error:
        raise SettingsError(f"The catalogue {path} {error}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The catalogue {path} cannot be read: {error}.") from None
    except CatalogueError as error:
        raise SettingsError(str(error)) from None


def _catalogue(path: str) -> Catalogue:
    try:
        return read_catalogue(Path(path))
    except SettingsError as error:
        raise SettingsError(f"WORKSUB_CATALOGUE: {error}") from None


class CatalogueSettings(Settings):
    catalogue: Annotated[Catalogue, PlainValidator(_catalogue)] = Field(
        default_factory=lambda: read_catalogue(DEFAULT_CATALOGUE),
        validation_alias="WORKSUB_CATALOGUE",
        examples=["/etc/worksub/catalogue.toml"],
    )
    """File with prices and policy values, which `setup` and the worker publish: [the
    catalogue](scenarios.md#the-catalogue)."""
