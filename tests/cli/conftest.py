"""The service that the commands ask: real servers, one for all tests of this folder."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.database import connected
from starter.embedded.stack import EmbeddedStack
from starter.setup import set_up
from subscription.catalogue import parse_catalogue
from worker import create_worker

from .running import ROOT, Cli

@dataclass(frozen=True)
class Service:
    directory: Path
    stack: EmbeddedStack
    temporal: Client
    settings: dict[str, str]


@pytest.fixture(scope="session")
def catalogue_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's catalogue, in force whenever these tests run."""
    text = (ROOT / "catalogue.toml").read_text(encoding="utf-8")
    assert "effective_from = 2026-11-01" in text
    file = tmp_path_factory.mktemp("catalogue") / "catalogue.toml"
    file.write_text(text.replace("effective_from = 2026-11-01", "effective_from = 2020-01-01"))
    return file


@pytest.fixture(scope="session")
async def service(
    tmp_path_factory: pytest.TempPathFactory, catalogue_file: Path
) -> AsyncIterator[Service]:
    directory = tmp_path_factory.mktemp("service")
    async with EmbeddedStack(directory, search_attributes={}) as stack:
        addresses = stack.addresses
        temporal = await Client.connect(
            addresses.temporal_address, data_converter=pydantic_data_converter
        )
        await set_up(temporal, addresses.database_url, parse_catalogue(catalogue_file.read_text()))
        async with (
            connected(addresses.database_url, "worksub_worker") as pool,
            create_worker(temporal, pool, dns_resolvers=[addresses.dns_address]),
        ):
            settings = {
                "TEMPORAL_ADDRESS": addresses.temporal_address,
                "DATABASE_URL": addresses.database_url,
                "WORKSUB_CATALOGUE": str(catalogue_file),
            }
            yield Service(directory, stack, temporal, settings)


@pytest.fixture
def cli(service: Service, tmp_path: Path) -> Cli:
    """`worksub` as it reaches the service, in an empty directory."""
    return Cli(service.settings, tmp_path)


@pytest.fixture
def alone(tmp_path: Path) -> Cli:
    """`worksub` where there is no service."""
    return Cli({}, tmp_path)
