"""API settings, which include those of the console in the same process."""

from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from adapters.settings import (
    DatabaseSettings,
    EncryptionSettings,
    HostPort,
    ListenAddress,
    LogSettings,
    WebhookSettings,
)
from adapters.temporal.settings import TemporalSettings
from entrypoints.console.settings import ConsoleEnvironment


def _rate(text: str) -> str:
    from limits import (
        parse,  # imported here, because the table of settings is read without the API's packages
    )

    try:
        parse(text)
    except ValueError:
        raise ValueError(f"is {text!r}, which is not a number and a time") from None
    return text


class ApiSettings(
    DatabaseSettings, EncryptionSettings, WebhookSettings, ConsoleEnvironment, TemporalSettings, LogSettings
):
    """Settings of the API process."""

    address: ListenAddress = Field(
        HostPort("127.0.0.1", 8080), validation_alias="WORKSUB_API_ADDRESS", examples=["127.0.0.1:8080"]
    )
    """Listen address of `worksub api`: [the HTTP API](api.md)."""
    metrics_address: ListenAddress | None = Field(
        None, validation_alias="WORKSUB_API_METRICS_ADDRESS", examples=["127.0.0.1:9466"]
    )
    """Listen address of the Prometheus endpoint of `worksub api`: [metrics](monitoring.md#metrics)."""
    rate_limit: Annotated[str, AfterValidator(_rate)] = Field(
        "600/minute", validation_alias="WORKSUB_API_RATE_LIMIT", examples=["600/minute"]
    )
    """Rate limit of each API key."""

    @field_validator("address")
    @classmethod
    def _loopback_for_developers(cls, address: HostPort, info: ValidationInfo) -> HostPort:
        # A client that reaches the port can forge the Host header "localhost", so the listen address itself
        # must be a loopback address.
        if info.data.get("console_sign_in") == "developer" and not ip_address(address.host).is_loopback:
            raise ValueError(
                f"is {address}; it must be a loopback address, because WORKSUB_CONSOLE_SIGN_IN is developer, "
                "which allows every user to sign in as any customer or operator"
            )
        return address
