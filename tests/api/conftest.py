"""Session fixtures: a shared service environment, an API server and its clients."""

from collections.abc import AsyncIterator

import pytest
from support.api_client import ApiClient, ApiServer, open_api_server
from support.service_env import ServiceEnv, open_service_env
from temporalio.client import Client

from adapters.postgres.pool import create_pool
from dev_stack.stack import EmbeddedStack
from starter.webhook_endpoints import WebhookEndpointStore


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


@pytest.fixture(scope="session")
async def webhook_env(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[ServiceEnv]:
    """Open an isolated service environment, because dispatchers deliver to all of its endpoints."""
    async with open_service_env(stack, temporal) as opened:
        yield opened


@pytest.fixture(scope="session")
async def endpoint_store(webhook_env: ServiceEnv) -> AsyncIterator[WebhookEndpointStore]:
    async with create_pool(webhook_env.reader_url, "worksub_admin", connections=2) as pool:
        yield WebhookEndpointStore(pool)
