"""The service that the pages tell of, for whoever types what stands in them."""

from collections.abc import AsyncIterator

import pytest
from service.house import catalogue, catalogue_text, open_house
from temporalio.client import Client

from starter.embedded.stack import EmbeddedStack
from starter.setup import set_up
from workflows.connection import TASK_QUEUE
from workflows.converter import data_converter

from .cookbook import CATALOGUE, Shell


@pytest.fixture(scope="session")
async def shell(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shell]:
    """The service as it is set up, with its own task queue, and an empty directory."""
    directory = tmp_path_factory.mktemp("operations")
    (directory / CATALOGUE).write_text(catalogue_text(), encoding="utf-8")
    async with EmbeddedStack(directory / "stack", search_attributes={}) as stack:
        temporal = await Client.connect(stack.addresses.temporal_address, data_converter=data_converter())
        url = await stack.postgres.ensure_database("operations")
        await set_up(temporal, url, catalogue())
        async with open_house(stack, temporal, database_url=url, task_queue=TASK_QUEUE) as house:
            yield Shell(stack, house, directory)
