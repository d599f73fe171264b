"""The servers that all tests of a process share, with a database and a task queue for each house."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from service.house import open_stack
from support.longest import place_of
from temporalio.client import Client

from starter.embedded.stack import EmbeddedStack
from workflows.converter import data_converter


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: place_of(item.path))


@pytest.fixture(scope="session")
def stack_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="session")
async def stack(stack_directory: Path) -> AsyncIterator[EmbeddedStack]:
    async with open_stack(stack_directory) as running:
        yield running


@pytest.fixture(scope="session")
async def temporal(stack: EmbeddedStack) -> Client:
    return await Client.connect(stack.addresses.temporal_address, data_converter=data_converter())
