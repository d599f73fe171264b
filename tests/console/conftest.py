"""Session fixtures: one service environment and one console."""

from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
from argon2 import PasswordHasher
from support.console_server import ConsoleServer, run_console
from support.service_env import PASSWORD_HASH, ServiceEnv, open_service_env
from temporalio.client import Client

from adapters import password_hashing
from dev_stack.stack import EmbeddedStack


@pytest.fixture(scope="package", autouse=True)
def cheap_hashes() -> Iterator[None]:
    """Hash passwords at the lowest accepted cost: no test of the console is about the cost."""
    with pytest.MonkeyPatch.context() as patch:
        cheap = partial(PasswordHasher, time_cost=2, memory_cost=19_456, parallelism=1)
        patch.setattr(password_hashing, "PasswordHasher", cheap)
        patch.setattr(password_hashing, "PLACEHOLDER", PASSWORD_HASH)
        yield


@pytest.fixture(scope="session")
async def service_env(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[ServiceEnv]:
    async with open_service_env(stack, temporal) as opened:
        yield opened


@pytest.fixture(scope="session")
async def console(service_env: ServiceEnv) -> AsyncIterator[ConsoleServer]:
    async with run_console(service_env) as running:
        yield running
