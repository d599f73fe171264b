"""Settings from environment variables."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple, Self

from temporalio.worker import WorkerDeploymentConfig

from adapters.email.settings import MailServer, MailSettingsError, mail_server
from adapters.files import TooLargeError, read_text
from adapters.observability.logging import LogFormat
from adapters.postgres.pool import DatabaseError, validate_url
from adapters.temporal.worker_deployment import VersionSettingsError, deployment_from
from subscription.catalogue import Catalogue, CatalogueError, parse_catalogue

DEFAULT_CACHED_WORKFLOWS = 1000
DEFAULT_CATALOGUE = Path(__file__).parents[1] / "catalogue.toml"


class SettingsError(Exception):
    """A setting is missing or invalid; the message names the setting and a valid value."""


class HostPort(NamedTuple):
    """An IP address and port to listen on or to connect to."""

    host: str
    port: int

    @classmethod
    def read(cls, text: str, usual_port: str = "") -> Self:
        """Parse an address such as 1.1.1.1:53 or [::1]:53; raises `ValueError`."""
        bare = text.count(":") != 1 and "]:" not in text
        host, _, port = (text, "", usual_port) if bare else text.rpartition(":")
        address = cls(str(ip_address(host.strip("[]"))), int(port))
        if not 1 <= address.port <= 65535:
            raise ValueError
        return address

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class WorkerSettings:
    """Environment settings of the worker, except the standard ones of Temporal and OpenTelemetry."""

    database_url: str
    catalogue: Catalogue
    dns_resolvers: tuple[str, ...]
    metrics_address: HostPort | None
    health_address: HostPort | None
    log_format: LogFormat
    mail_server: MailServer | None
    deployment: WorkerDeploymentConfig | None
    webhooks_anywhere: bool
    """True if webhooks may target internal addresses and use plain HTTP."""
    cached_workflows: int


def load_worker_settings(environment: Mapping[str, str]) -> WorkerSettings:
    """Read the settings; raises `SettingsError`."""
    return WorkerSettings(
        database_url=database_url_from(environment),
        catalogue=read_catalogue(Path(environment.get("WORKSUB_CATALOGUE") or DEFAULT_CATALOGUE)),
        dns_resolvers=_resolvers(environment.get("WORKSUB_DNS_RESOLVERS", "")),
        metrics_address=listening_address("WORKSUB_METRICS_ADDRESS", environment),
        health_address=listening_address("WORKSUB_HEALTH_ADDRESS", environment),
        log_format=log_format_of(environment.get("WORKSUB_LOG_FORMAT") or LogFormat.TEXT),
        mail_server=_mail_server(environment),
        deployment=_deployment(environment),
        webhooks_anywhere=allow_private_webhook_targets(environment),
        cached_workflows=_cached_workflows(environment.get("WORKSUB_CACHED_WORKFLOWS")),
    )


def allow_private_webhook_targets(environment: Mapping[str, str]) -> bool:
    """Return whether webhooks may target internal addresses and use plain HTTP; raises `SettingsError`.

    The default (`public`) enables the SSRF protection of `adapters.webhooks.url_policy`.
    """
    targets = environment.get("WORKSUB_WEBHOOK_TARGETS") or "public"
    if targets not in ("public", "any"):
        raise SettingsError(f"WORKSUB_WEBHOOK_TARGETS is {targets!r}; it must be public or any.")
    return targets == "any"


def database_url_from(environment: Mapping[str, str]) -> str:
    """Return the validated URL of PostgreSQL; raises `SettingsError`."""
    url = environment.get("DATABASE_URL")
    if not url:
        raise SettingsError(
            "DATABASE_URL is not set. Set it to the URL of PostgreSQL, "
            "such as postgresql://worksub@localhost:5432/worksub."
        )
    try:
        validate_url(url)
    except DatabaseError as error:
        raise SettingsError(str(error)) from None
    return url


def _resolvers(setting: str) -> tuple[str, ...]:
    addresses = tuple(address.strip() for address in setting.split(",") if address.strip())
    for address in addresses:
        try:
            HostPort.read(address, usual_port="53")
        except ValueError:
            raise SettingsError(
                f"WORKSUB_DNS_RESOLVERS names {address!r}, which is not an IP address, with or without a "
                "port, as in 1.1.1.1,127.0.0.1:5353."
            ) from None
    return addresses


def listening_address(name: str, environment: Mapping[str, str]) -> HostPort | None:
    """Return the listen address of this setting, or None if it is not set; raises `SettingsError`."""
    text = environment.get(name)
    if not text:
        return None
    try:
        return HostPort.read(text)
    except ValueError:
        raise SettingsError(
            f"{name} is {text!r}, which is not an IP address and a port, as in 127.0.0.1:8080."
        ) from None


def _mail_server(environment: Mapping[str, str]) -> MailServer | None:
    try:
        return mail_server(environment)
    except MailSettingsError as error:
        raise SettingsError(str(error)) from None


def _deployment(environment: Mapping[str, str]) -> WorkerDeploymentConfig | None:
    try:
        return deployment_from(environment)
    except VersionSettingsError as error:
        raise SettingsError(str(error)) from None


def _cached_workflows(text: str | None) -> int:
    if not text:
        return DEFAULT_CACHED_WORKFLOWS
    if not text.isascii() or not text.isdigit():
        raise SettingsError(
            f"WORKSUB_CACHED_WORKFLOWS is {text!r}; it must be a whole number, 0 to keep none in memory."
        )
    return int(text)


def log_format_of(text: str) -> LogFormat:
    """Parse the log format; raises `SettingsError`."""
    try:
        return LogFormat(text)
    except ValueError:
        raise SettingsError(f"WORKSUB_LOG_FORMAT is {text!r}; it must be {' or '.join(LogFormat)}.") from None


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
