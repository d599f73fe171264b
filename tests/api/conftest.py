"""The servers that the tests of the API share, and the reception where most of them ask."""

from collections.abc import AsyncIterator

import pytest
from support.api_client import Reception, Visitor, open_reception
from support.service_env import House, open_house
from temporalio.client import Client

from dev_stack.stack import EmbeddedStack


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
