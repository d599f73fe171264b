"""Worker settings."""

from typing import Annotated

from pydantic import Field, NonNegativeInt, PlainValidator, PositiveInt

from adapters.email.settings import SmtpSettings
from adapters.settings import (
    CatalogueSettings,
    ConsoleUrl,
    DatabaseSettings,
    EncryptionSettings,
    HostPort,
    ListenAddress,
    LogSettings,
    WebhookSettings,
)
from adapters.temporal.settings import TemporalSettings
from adapters.temporal.worker_deployment import DeploymentSettings
from subscription.reconciliation import ROTATION_NIGHTS

DEFAULT_CACHED_WORKFLOWS = 1000


def _resolvers(setting: str) -> tuple[str, ...]:
    addresses = tuple(address.strip() for address in setting.split(",") if address.strip())
    for address in addresses:
        try:
            HostPort.parse(address, default_port="53")
        except ValueError:
            raise ValueError(
                f"contains {address!r}, which is not an IP address, with or without a port"
            ) from None
    return addresses


class WorkerSettings(
    DatabaseSettings,
    CatalogueSettings,
    EncryptionSettings,
    SmtpSettings,
    WebhookSettings,
    TemporalSettings,
    DeploymentSettings,
    LogSettings,
):
    """Settings of the worker, except those that the SDKs of Temporal and OpenTelemetry read."""

    dns_resolvers: Annotated[tuple[str, ...], PlainValidator(_resolvers)] = Field(
        (), validation_alias="WORKSUB_DNS_RESOLVERS", examples=["1.1.1.1,127.0.0.1:5353"]
    )
    """DNS resolvers for domain verification; by default those of the machine."""
    console_url: ConsoleUrl | None = Field(
        None, validation_alias="WORKSUB_CONSOLE_URL", examples=["https://console.example"]
    )
    """Public URL of [the console](console.md): scheme and host; by default the console's is
    `http://localhost:8080`. The console accepts only that host. If set, [notices](notices.md) have links."""
    metrics_address: ListenAddress | None = Field(
        None, validation_alias="WORKSUB_METRICS_ADDRESS", examples=["127.0.0.1:9464"]
    )
    """Listen address of the worker's Prometheus endpoint: [metrics](monitoring.md#metrics)."""
    health_address: ListenAddress | None = Field(
        None, validation_alias="WORKSUB_HEALTH_ADDRESS", examples=["127.0.0.1:9465"]
    )
    """Listen address of the worker's health endpoint: [health](monitoring.md#health)."""
    cached_workflows: NonNegativeInt = Field(
        DEFAULT_CACHED_WORKFLOWS, validation_alias="WORKSUB_CACHED_WORKFLOWS"
    )
    """Number of workflows that a worker caches between their tasks; 0 disables the cache, for tests: each
    task then replays its run, and tasks of simultaneous commands can time out."""
    rotation_nights: PositiveInt = Field(ROTATION_NIGHTS, validation_alias="WORKSUB_ROTATION_NIGHTS")
    """Number of nights in which [`reconcile`](scheduled-jobs.md#which-workflows-are-queried) queries every
    workflow at least once; 1 queries all of them every night."""
