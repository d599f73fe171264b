"""One house and one console for all tests here."""

from collections.abc import AsyncIterator

import pytest
from support.console_server import Hosted, hosted
from support.service_env import House, open_house
from temporalio.client import Client

from dev_stack.stack import EmbeddedStack


@pytest.fixture(scope="session")
async def house(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[House]:
    async with open_house(stack, temporal) as opened:
        yield opened


@pytest.fixture(scope="session")
async def console(house: House) -> AsyncIterator[Hosted]:
    async with hosted(house) as running:
        yield running
