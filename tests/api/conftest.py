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
async def reception(service_env: ServiceEnv) -> AsyncIterator[ApiServer]:
    async with open_api_server(service_env) as opened:
        yield opened


@pytest.fixture(scope="session")
async def operator(reception: ApiServer) -> ApiClient:
    return await reception.visitor(None)


@pytest.fixture(scope="session")
async def acme(reception: ApiServer) -> ApiClient:
    return await reception.visitor("C-acme")


@pytest.fixture(scope="session")
async def rival(reception: ApiServer) -> ApiClient:
    return await reception.visitor("C-rival")
