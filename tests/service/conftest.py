"""The servers that all tests of the service share, and the house that most of them are at home in."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from starter.embedded.stack import EmbeddedStack
from starter.setup import set_up

from .house import TEMPLATE, House, catalogue, open_house


@pytest.fixture(scope="session")
def stack_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="session")
async def stack(stack_directory: Path) -> AsyncIterator[EmbeddedStack]:
    async with EmbeddedStack(stack_directory, search_attributes={}) as running:
        await spare_the_disk(running)
        client = await Client.connect(running.addresses.temporal_address)
        await set_up(client, await running.postgres.ensure_database(TEMPLATE), catalogue())
        yield running


async def spare_the_disk(stack: EmbeddedStack) -> None:
    """No test takes the power away from this server, and hundreds of lives are thousands of commits."""
    connection = await asyncpg.connect(stack.postgres.dsn())
    await connection.execute("ALTER SYSTEM SET fsync = off")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()


@pytest.fixture(scope="session")
async def temporal(stack: EmbeddedStack) -> Client:
    return await Client.connect(stack.addresses.temporal_address, data_converter=pydantic_data_converter)


@pytest.fixture(scope="session")
async def house(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[House]:
    async with open_house(stack, temporal) as opened:
        yield opened


@pytest.fixture
async def office(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[House]:
    """A house of its own, for what is done there concerns everybody in it."""
    async with open_house(stack, temporal) as opened:
        yield opened
