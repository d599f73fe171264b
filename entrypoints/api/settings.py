"""API settings."""

from collections.abc import Mapping
from dataclasses import dataclass

from limits import parse

from adapters.observability.logging import LogFormat
from adapters.settings import (
    HostPort,
    SettingsError,
    allow_private_webhook_targets,
    database_url_from,
    listening_address,
    log_format_of,
)
from entrypoints.console.settings import ConsoleSettings, console_settings

_DEFAULT_ADDRESS = HostPort("127.0.0.1", 8080)
_DEFAULT_RATE = "600/minute"


@dataclass(frozen=True)
class ApiSettings:
    """Settings of the API process. `rate_limit` is the rate limit per API key, such as `600/minute`."""

    database_url: str
    address: HostPort
    metrics_address: HostPort | None
    log_format: LogFormat
    rate_limit: str
    webhooks_anywhere: bool
    console: ConsoleSettings


def api_settings_from(environment: Mapping[str, str]) -> ApiSettings:
    """Read the settings; raises `SettingsError`."""
    address = listening_address("WORKSUB_API_ADDRESS", environment) or _DEFAULT_ADDRESS
    return ApiSettings(
        database_url=database_url_from(environment),
        address=address,
        metrics_address=listening_address("WORKSUB_API_METRICS_ADDRESS", environment),
        log_format=log_format_of(environment.get("WORKSUB_LOG_FORMAT") or LogFormat.TEXT),
        rate_limit=_rate(environment.get("WORKSUB_API_RATE_LIMIT") or _DEFAULT_RATE),
        webhooks_anywhere=allow_private_webhook_targets(environment),
        console=console_settings(environment, address),
    )


def _rate(text: str) -> str:
    try:
        parse(text)
    except ValueError:
        raise SettingsError(
            f"WORKSUB_API_RATE_LIMIT is {text!r}; it must be a number and a time, as in {_DEFAULT_RATE}."
        ) from None
    return text
