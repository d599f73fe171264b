"""The API process, which serves the API and the console."""

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from adapters.observability.logging import configure_logging
from adapters.postgres.pool import DatabaseError, create_pool, redacted_location
from adapters.settings import HostPort
from adapters.settings_error import SettingsError
from adapters.temporal.client import connect
from entrypoints.api.app import create_app
from entrypoints.api.app_state import AppState
from entrypoints.api.rate_limits import RateLimits
from entrypoints.api.settings import ApiSettings
from entrypoints.console.app import create_console
from entrypoints.http.issuer_check import IssuerWatch, issuer_watched
from entrypoints.http.metrics import HttpMetrics, metrics_served
from entrypoints.http.server import HttpServer, bind_socket
from starter.api_keys import ApiKeyStore
from starter.client import SubscriptionClient
from starter.command_rate_limits import CommandRates
from starter.exports import SubscriptionExports

_DRAIN_SECONDS = 20
_METRICS_ADDRESS = "WORKSUB_API_METRICS_ADDRESS"
_READING, _OWN, _EXPORTING = 20, 4, 4
"""Pool sizes: for queries, for each of the API's and the console's own tables, and for exports."""
_EXPORT_RATE = "5/minute"
"""Limit of each subscription's exports; one costs as much as many queries."""

_log = logging.getLogger(__name__)


async def serve(
    settings: ApiSettings, *, app_factory: Callable[[AppState, ASGIApp], ASGIApp] = create_app
) -> None:
    """Run until SIGTERM or SIGINT, then finish the requests in progress.

    `app_factory` creates the application. As for the worker, no setting allows simulated time.

    Raises `SettingsError` for errors that a retry cannot resolve, and one of `UNREACHABLE` if PostgreSQL is
    unavailable.
    """
    configure_logging(settings.log_format, settings.log_levels)
    if settings.console.developer_sign_in:
        _log.warning(
            "WORKSUB_CONSOLE_SIGN_IN=developer: every user of this machine can sign in as any customer or "
            "operator."
        )
    try:
        with bind_socket(settings.address, "WORKSUB_API_ADDRESS") as opened:
            async with _service(settings) as service, _console(settings, service) as console:
                app = app_factory(service, console)
                async with metrics_served(settings.metrics_address, _METRICS_ADDRESS, service.metrics):
                    await _run(app, service, opened)
    except DatabaseError as error:
        raise SettingsError(str(error)) from None
    _log.info("Stopped.")


async def _run(app: ASGIApp, service: AppState, opened: socket.socket) -> None:
    server = HttpServer(app, drain_seconds=_DRAIN_SECONDS)

    def stop() -> None:
        _log.info("Stopping: finishing the requests in progress.")
        service.stopping.set()
        server.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    host, port = opened.getsockname()[:2]
    _log.info(
        f"Listening at http://{HostPort(host, port)}/v1, documented at /docs. Stop with Ctrl-C or SIGTERM."
    )
    await server.serve(sockets=[opened])


@asynccontextmanager
async def _service(settings: ApiSettings) -> AsyncIterator[AppState]:
    url = settings.database_url
    temporal = await connect(settings.keyring, lazy=True, service="worksub-api")
    async with (
        create_pool(url, "worksub_reader", connections=_READING) as reading,
        create_pool(url, "worksub_api", connections=_OWN) as own,
        create_pool(url, "worksub_exporter", connections=_EXPORTING) as exporting,
    ):
        _log.info(f"Connected to PostgreSQL at {redacted_location(url)}.")
        metrics = HttpMetrics("api", "console")
        oidc = settings.console.oidc
        issuer = IssuerWatch(oidc.issuer if oidc else None, metrics.issuer_gauge())
        async with issuer_watched(issuer):
            yield AppState(
                temporal=temporal,
                reading=reading,
                client=SubscriptionClient(temporal, reading),
                own=own,
                keys=ApiKeyStore(own),
                rates=RateLimits(settings.rate_limit),
                exports=SubscriptionExports(exporting, rates=CommandRates(_EXPORT_RATE)),
                allow_private_webhook_targets=settings.allow_private_webhook_targets,
                metrics=metrics,
                issuer=issuer,
            )


@asynccontextmanager
async def _console(settings: ApiSettings, service: AppState) -> AsyncIterator[ASGIApp]:
    async with create_pool(settings.database_url, "worksub_console", connections=_OWN) as pool:
        yield create_console(service.client, pool, service.exports, settings.console, service.command_rates)
