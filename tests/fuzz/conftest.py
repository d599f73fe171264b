"""Fixtures: the API and the console in one process, as in `worksub api`, on a real service."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from support.api_client import ApiServer, open_api_server
from support.http_server import bind, serve_app
from support.service_env import ServiceEnv, open_service_env
from temporalio.client import Client

from adapters.postgres.pool import create_pool
from dev_stack.stack import EmbeddedStack
from entrypoints.api.app import create_app
from entrypoints.console.app import create_console
from entrypoints.console.settings import ConsoleSettings
from entrypoints.http.protocol import HttpLimits


@dataclass(frozen=True)
class WebServer:
    service_env: ServiceEnv
    url: str
    port: int
    api_server: ApiServer


@pytest.fixture(scope="session")
async def web_server(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[WebServer]:
    async with (
        open_service_env(stack, temporal) as service_env,
        open_api_server(service_env) as api_server,
        create_pool(service_env.api_url, "worksub_console", connections=4) as pool,
    ):
        with bind() as place:
            settings = ConsoleSettings(url=place.url, developer_sign_in=True)
            console = create_console(service_env.client, pool, api_server.service.exports, settings)
            # Short timeouts, because half of the requests here never end.
            limits = HttpLimits(head_seconds=1, body_seconds=1)
            async with serve_app(create_app(api_server.service, console), place, limits=limits):
                yield WebServer(service_env, place.url, place.opened.getsockname()[1], api_server)
