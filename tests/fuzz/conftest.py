"""The API and the console in one process, as `worksub api` runs them, before a real house."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from support.api_client import Reception, open_reception
from support.http_server import a_place, answering
from support.service_env import House, open_house
from temporalio.client import Client

from adapters.postgres.pool import connected
from dev_stack.stack import EmbeddedStack
from entrypoints.api.app import create_app
from entrypoints.console.app import create_console
from entrypoints.console.settings import ConsoleSettings
from entrypoints.http.protocol import HttpLimits


@dataclass(frozen=True)
class Front:
    house: House
    url: str
    port: int
    reception: Reception


@pytest.fixture(scope="session")
async def front(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[Front]:
    async with (
        open_house(stack, temporal) as house,
        open_reception(house) as reception,
        connected(house.web_url, "worksub_console", connections=4) as pool,
    ):
        with a_place() as place:
            console = create_console(house.client, pool, ConsoleSettings(url=place.url, embedded=True))
            # Short, because half of what is sent here never ends.
            limits = HttpLimits(head_seconds=1, body_seconds=1)
            async with answering(create_app(reception.service, console), place, limits=limits):
                yield Front(house, place.url, place.opened.getsockname()[1], reception)
