"""The servers that all tests of the service share, and the house that most of them are at home in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from starter.embedded.stack import EmbeddedStack
from workflows.converter import data_converter

from .house import House, open_house, open_stack


@pytest.fixture(scope="session")
def stack_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="session")
async def stack(stack_directory: Path) -> AsyncIterator[EmbeddedStack]:
    async with open_stack(stack_directory) as running:
        yield running


@pytest.fixture(scope="session")
async def temporal(stack: EmbeddedStack) -> Client:
    return await Client.connect(stack.addresses.temporal_address, data_converter=data_converter())


@pytest.fixture(scope="session")
async def house(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[House]:
    async with open_house(stack, temporal) as opened:
        yield opened


@pytest.fixture
async def office(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[House]:
    """A house of its own, for what is done there concerns everybody in it."""
    async with open_house(stack, temporal) as opened:
        yield opened
