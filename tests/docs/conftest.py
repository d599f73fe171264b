"""Fixtures: the documented service, for running the commands in the pages."""

from collections.abc import AsyncIterator

import pytest
from support.namespaces import new_namespace
from support.service_env import catalogue, catalogue_text, open_service_env
from support.shell_recipes import CATALOGUE, Shell
from temporalio.client import Client

from adapters.temporal.client import TASK_QUEUE
from dev_stack.stack import EmbeddedStack
from starter.setup import set_up


@pytest.fixture(scope="session")
async def shell(
    stack: EmbeddedStack, temporal: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shell]:
    """Run the service with the default task queue in a separate namespace, with an empty directory."""
    directory = tmp_path_factory.mktemp("operations")
    (directory / CATALOGUE).write_text(catalogue_text(), encoding="utf-8")
    namespace = await new_namespace(temporal)
    url = await stack.postgres.ensure_database("operations")
    await set_up(namespace, url, catalogue())
    async with open_service_env(stack, namespace, database_url=url, task_queue=TASK_QUEUE) as service_env:
        yield Shell(stack, service_env, directory)
