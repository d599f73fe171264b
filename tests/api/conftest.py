"""Session fixtures: a shared service environment, an API server and its clients."""

from collections.abc import AsyncIterator

import pytest
from support.api_client import ApiClient, ApiServer, open_api_server
from support.service_env import ServiceEnv, open_service_env
from temporalio.client import Client

from dev_stack.stack import EmbeddedStack


@pytest.fixture(scope="session")
async def service_env(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[ServiceEnv]:
    async with open_service_env(stack, temporal) as opened:
        yield opened


@pytest.fixture(scope="session")
async def api_server(service_env: ServiceEnv) -> AsyncIterator[ApiServer]:
    async with open_api_server(service_env) as opened:
        yield opened


@pytest.fixture(scope="session")
async def operator(api_server: ApiServer) -> ApiClient:
    return await api_server.visitor(None)


@pytest.fixture(scope="session")
async def acme(api_server: ApiServer) -> ApiClient:
    return await api_server.visitor("C-acme")


@pytest.fixture(scope="session")
async def rival(api_server: ApiServer) -> ApiClient:
    return await api_server.visitor("C-rival")
