"""A Temporal server that suggests continue-as-new after few events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client

from adapters.temporal.search_attributes import register_search_attributes
from dev_stack.temporal_server import TemporalServer

EVENTS_A_RUN = 60


@asynccontextmanager
async def hasty_server(directory: Path) -> AsyncIterator[str]:
    """Start the server; yield its address."""
    limit = f"limit.historyCount.suggestContinueAsNew={EVENTS_A_RUN}"
    async with TemporalServer(directory, search_attributes={}, dynamic_config=[limit]) as server:
        await register_search_attributes(await Client.connect(server.address))
        yield server.address
