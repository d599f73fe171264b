"""The house that most tests of the service are at home in."""

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from dev_stack.stack import EmbeddedStack

from .house import House, open_house


@pytest.fixture(scope="session")
async def house(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[House]:
    async with open_house(stack, temporal) as opened:
        yield opened


@pytest.fixture
async def office(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[House]:
    """A house of its own, for what is done there concerns everybody in it."""
    async with open_house(stack, temporal) as opened:
        yield opened
