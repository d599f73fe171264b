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


@dataclass(frozen=True)
class AppState:
    """`reading` is a pool in the role `worksub_reader`, `own` in `worksub_api`.

    An answer begins within `patience` seconds.
    """

    temporal: Client
    reading: Pool
    client: SubscriptionClient
    own: Pool
    keys: ApiKeyStore
    rates: RateLimits
    webhooks_anywhere: bool = False
    """Whether webhooks may go to internal addresses and over plain HTTP."""
    command_rates: CommandRates = field(default_factory=CommandRates)
    """What the console counts with as well."""
    patience: float = 30.0
    heartbeat: float = 15.0
    """Seconds after which a silent stream says that it lives."""
    metrics: HttpMetrics = field(default_factory=lambda: HttpMetrics("api", "console"))
    issuer: IssuerWatch | None = None
    """The check of the console's OpenID Connect issuer, where a console is served."""
    streams: Counter[str] = field(default_factory=Counter)
    """How many streams each key listens to, by its prefix."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process stops: streams end then, and whoever listens comes again elsewhere."""
