"""One house and one console for all tests here."""

from collections.abc import AsyncIterator

import pytest
from service.house import House, open_house, open_stack
from temporalio.client import Client

from starter.embedded.stack import EmbeddedStack
from workflows.converter import data_converter

from .hosting import Hosted, hosted


@pytest.fixture(scope="session")
async def console_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedStack]:
    async with open_stack(tmp_path_factory.mktemp("console")) as running:
        yield running


@pytest.fixture(scope="session")
async def house(console_stack: EmbeddedStack) -> AsyncIterator[House]:
    temporal = await Client.connect(console_stack.addresses.temporal_address, data_converter=data_converter())
    async with open_house(console_stack, temporal) as opened:
        yield opened


@pytest.fixture(scope="session")
async def console(house: House) -> AsyncIterator[Hosted]:
    async with hosted(house) as running:
        yield running
