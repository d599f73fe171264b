"""Application state shared by all routes."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from temporalio.client import Client

from adapters.postgres.pool import Pool
from entrypoints.api.rate_limits import RateLimits
from entrypoints.http.issuer_check import IssuerWatch
from entrypoints.http.metrics import HttpMetrics
from starter.api_keys import ApiKeyStore
from starter.client import SubscriptionClient
from starter.command_rate_limits import CommandRates
from starter.exports import SubscriptionExports


@dataclass(frozen=True)
class AppState:
    """State of one API process.

    The pool `reading` connects as the database role `worksub_reader`, the pool `own` as `worksub_api`.
    A response must start within `timeout_seconds`.
    """

    temporal: Client
    reading: Pool
    client: SubscriptionClient
    own: Pool
    keys: ApiKeyStore
    rates: RateLimits
    exports: SubscriptionExports
    """Shared with the console."""
    allow_private_webhook_targets: bool = False
    """True to allow webhook URLs with private addresses and plain HTTP (disables the SSRF protection)."""
    command_rates: CommandRates = field(default_factory=CommandRates)
    """Shared with the console."""
    timeout_seconds: float = 30.0
    heartbeat: float = 15.0
    """Seconds without an event after which a stream sends a keep-alive comment."""
    stream_poll_seconds: float = 1.0
    """Seconds between two reads of the events for a stream."""
    metrics: HttpMetrics = field(default_factory=lambda: HttpMetrics("api", "console"))
    issuer: IssuerWatch | None = None
    """Check of the console's OpenID Connect issuer; None in a process without a console."""
    streams: Counter[str] = field(default_factory=Counter)
    """Number of open event streams by API key prefix, as `slot` counts them."""
    journals: Counter[str] = field(default_factory=Counter)
    """Number of journals in progress by API key prefix, as `slot` counts them."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at shutdown. Open streams then end, and their clients reconnect to another process."""
