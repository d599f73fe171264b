"""The servers that the tests of the API share, and the reception where most of them ask."""

from collections.abc import AsyncIterator

import pytest
from service.house import House, open_house, open_stack
from temporalio.client import Client

from starter.embedded.stack import EmbeddedStack
from workflows.converter import data_converter

from .reception import Reception, Visitor, open_reception


@pytest.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedStack]:
    async with open_stack(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="session")
async def temporal(stack: EmbeddedStack) -> Client:
    return await Client.connect(stack.addresses.temporal_address, data_converter=data_converter())


@pytest.fixture(scope="session")
async def house(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[House]:
    async with open_house(stack, temporal) as opened:
        yield opened


@pytest.fixture(scope="session")
async def reception(house: House) -> AsyncIterator[Reception]:
    async with open_reception(house) as opened:
        yield opened


@pytest.fixture(scope="session")
async def operator(reception: Reception) -> Visitor:
    return await reception.visitor(None)


@pytest.fixture(scope="session")
async def acme(reception: Reception) -> Visitor:
    return await reception.visitor("C-acme")


@pytest.fixture(scope="session")
async def rival(reception: Reception) -> Visitor:
    return await reception.visitor("C-rival")
