"""Fixtures: the service that the commands call, on the servers shared by the test process."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.cli_runner import ROOT, Cli
from support.namespaces import new_namespace
from support.request_files import request_fields
from support.service_env import PASSWORD_HASH
from temporalio.client import Client

from adapters.postgres.pool import create_pool
from adapters.postgres.worker_keys import worker_signer
from adapters.settings import read_catalogue
from dev_stack.stack import EmbeddedStack
from starter.client import SubscriptionClient
from starter.setup import set_up
from subscription.business_calendar import KST
from subscription.contract import ContractTerm
from worker import create_worker


@dataclass(frozen=True)
class Service:
    directory: Path
    stack: EmbeddedStack
    temporal: Client
    client: SubscriptionClient
    settings: dict[str, str]

    async def subscribed(self, **replaced: Any) -> str:
        """Create a subscription and return its id."""
        answer = await self.client.request({**request_fields(**replaced), "password_hash": PASSWORD_HASH})
        return answer.subscription_id

    async def paid(self, **replaced: Any) -> str:
        """Create a subscription with an annual contract from today, and return its id."""
        subscription_id = await self.subscribed(**replaced)
        today = (await self.client.clock(subscription_id).now()).astimezone(KST).date()
        await self.client.switch_to_paid(subscription_id, today, ContractTerm.ANNUAL)
        return subscription_id


@pytest.fixture(scope="session")
def catalogue_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the repository's catalogue with a start date in the past, without a limit of trials."""
    text = (ROOT / "catalogue.toml").read_text(encoding="utf-8")
    for old, new in (
        ("effective_from = 2026-11-01", "effective_from = 2020-01-01"),
        ("per_customer = 3", ""),
    ):
        assert old in text
        text = text.replace(old, new)
    file = tmp_path_factory.mktemp("catalogue") / "catalogue.toml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture(scope="session")
async def service(
    stack: EmbeddedStack, temporal: Client, stack_directory: Path, catalogue_file: Path
) -> AsyncIterator[Service]:
    """Run the service with the default database and task queue, in a namespace for these tests."""
    addresses, namespace = stack.addresses, await new_namespace(temporal)
    await set_up(namespace, addresses.database_url, read_catalogue(catalogue_file))
    async with (
        create_pool(addresses.worker_url, "worksub_worker") as pool,
        create_pool(addresses.reader_url, "worksub_reader", connections=2) as reading,
        create_worker(namespace, pool, await worker_signer(pool), dns_resolvers=[addresses.dns_address]),
    ):
        settings = {
            "TEMPORAL_ADDRESS": addresses.temporal_address,
            "TEMPORAL_NAMESPACE": namespace.namespace,
            "DATABASE_URL": addresses.reader_url,
            "WORKSUB_CATALOGUE": str(catalogue_file),
        }
        yield Service(stack_directory, stack, namespace, SubscriptionClient(namespace, reading), settings)


@pytest.fixture
async def cli(service: Service, tmp_path: Path) -> AsyncIterator[Cli]:
    """Yield `worksub` configured for the service, in an empty directory."""
    cli = Cli(service.settings, tmp_path)
    yield cli
    await cli.stop()


@pytest.fixture
async def unconfigured_cli(tmp_path: Path) -> AsyncIterator[Cli]:
    """Yield `worksub` without a configured service."""
    cli = Cli({}, tmp_path)
    yield cli
    await cli.stop()
