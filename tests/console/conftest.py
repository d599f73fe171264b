"""Session fixtures: one service environment and one console."""

from collections.abc import AsyncIterator

import pytest
from support.console_server import ConsoleServer, run_console
from support.service_env import ServiceEnv, open_service_env
from temporalio.client import Client

from dev_stack.stack import EmbeddedStack


@pytest.fixture(scope="session")
async def service_env(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[ServiceEnv]:
    async with open_service_env(stack, temporal) as opened:
        yield opened


@pytest.fixture(scope="session")
async def console(service_env: ServiceEnv) -> AsyncIterator[ConsoleServer]:
    async with run_console(service_env) as running:
        yield running
