"""Session fixtures: one Temporal server and one PostgreSQL server per test process.

The fixtures import what they need, because a test of a rule needs none of it: the imports take a second.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.longest import order_of

if TYPE_CHECKING:
    from support.service_env import ServiceEnv
    from temporalio.client import Client

    from dev_stack.stack import EmbeddedStack

# For the Temporal servers, which are written in Go: garbage is collected less often. Each server uses 100 MB
# more memory, and a seventh less CPU time.
os.environ.setdefault("GOGC", "800")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Several servers share the processors: with one thread each, they use a tenth less CPU time.
    os.environ.setdefault("GOMAXPROCS", "1")

OWN_DIRECTORY = pytest.StashKey[Path]()


def pytest_collection_finish() -> None:
    """Exclude what the imports created from garbage collection, and collect less often.

    Otherwise each collection visits more than a hundred thousand objects that live until the end.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: order_of(item.path))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give each test run its own base directory.

    Runs of one user share pytest's default directory, and each run restricts its permissions.
    A PostgreSQL server that root runs as another user could then no longer read its data.
    """
    if not config.option.basetemp:
        config.option.basetemp = tempfile.mkdtemp(prefix="worksub-tests-")
        config.stash[OWN_DIRECTORY] = Path(config.option.basetemp)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.OK and "hypothesis" not in sys.modules:
        # Its summary would import hypothesis, which takes longer than the test of a rule.
        session.config.pluginmanager.unregister(name="hypothesispytest")
    directory = session.config.stash.get(OWN_DIRECTORY, None)
    if directory and exitstatus == pytest.ExitCode.OK:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def stack_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="session")
async def postgres_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a stopped PostgreSQL server; tests start servers on copies of it."""
    from support.postgres_data import create_data

    return await create_data(tmp_path_factory)


@pytest.fixture(scope="session")
async def stack(stack_directory: Path, postgres_data: Path) -> AsyncIterator[EmbeddedStack]:
    from support.postgres_data import copy_data
    from support.service_env import open_stack

    copy_data(postgres_data, stack_directory)
    async with open_stack(stack_directory) as running:
        yield running


@pytest.fixture(scope="session")
async def temporal(stack: EmbeddedStack) -> Client:
    from temporalio.client import Client

    from adapters.temporal.data_converter import data_converter

    return await Client.connect(stack.addresses.temporal_address, data_converter=data_converter())


@pytest.fixture(scope="session")
async def service_env(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[ServiceEnv]:
    from support.service_env import open_service_env

    async with open_service_env(stack, temporal) as opened:
        yield opened


@pytest.fixture
async def isolated_env(stack: EmbeddedStack, temporal: Client) -> AsyncIterator[ServiceEnv]:
    """Open an isolated service environment for tests that affect every subscription in it."""
    from support.service_env import open_service_env

    async with open_service_env(stack, temporal) as opened:
        yield opened
