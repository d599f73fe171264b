"""The process that answers over HTTP, until it is told to stop."""

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from activities.database import DatabaseError, connected, place_of
from activities.logs import write_logs
from activities.settings import Address, SettingsError
from starter.api.app import create_app
from starter.api.rates import Rates
from starter.api.service import Service
from starter.api.settings import ApiSettings
from starter.client import SubscriptionClient
from starter.console.app import create_console
from starter.http_serving import HttpServer, listening
from starter.keys import Keys
from workflows.connection import ConnectionSettingsError, connect

_DRAIN_SECONDS = 20
_READING, _OWN = 20, 4
"""So many connections to the database: for questions, and for what is the API's own and the console's."""

_log = logging.getLogger("worksub")


async def serve(
    settings: ApiSettings, *, put_together: Callable[[Service, ASGIApp], ASGIApp] = create_app
) -> None:
    """Answer until SIGTERM or SIGINT, then finish what was begun.

    `put_together` makes the application; as for the worker, no setting allows lives whose time is simulated.

    Raises `SettingsError` where waiting will not help, one of `UNREACHABLE` where PostgreSQL is away.
    """
    write_logs(settings.log_format)
    try:
        with listening(settings.address, "WORKSUB_API_ADDRESS") as opened:
            async with _service(settings) as service, _console(settings, service) as console:
                await _answer(put_together(service, console), service, opened)
    except (DatabaseError, ConnectionSettingsError) as error:
        raise SettingsError(str(error)) from None
    _log.info("Stopped.")


async def _answer(app: ASGIApp, service: Service, opened: socket.socket) -> None:
    server = HttpServer(app, drain_seconds=_DRAIN_SECONDS)

    def stop() -> None:
        _log.info("Stopping: finishing what was begun.")
        service.stopping.set()
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    host, port = opened.getsockname()[:2]
    _log.info(
        f"Answering at http://{Address(host, port)}/v1, described at /docs; stop with Ctrl-C or SIGTERM."
    )
    await server.serve(sockets=[opened])


@asynccontextmanager
async def _service(settings: ApiSettings) -> AsyncIterator[Service]:
    url = settings.database_url
    temporal = await connect(lazy=True, service="worksub-api")
    async with (
        connected(url, "worksub_reader", connections=_READING) as reading,
        connected(url, "worksub_api", connections=_OWN) as own,
    ):
        _log.info(f"Connected to PostgreSQL at {place_of(url)}.")
        yield Service(
            temporal=temporal,
            reading=reading,
            client=SubscriptionClient(temporal, reading),
            keys=Keys(own),
            rates=Rates(settings.rate_limit),
        )


@asynccontextmanager
async def _console(settings: ApiSettings, service: Service) -> AsyncIterator[ASGIApp]:
    async with connected(settings.database_url, "worksub_console", connections=_OWN) as pool:
        yield create_console(service.client, pool, settings.console)
