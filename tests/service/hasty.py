"""A Temporal server that asks for continue-as-new all the time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from temporalio.client import Client

from starter.embedded import temporal_server
from starter.embedded.temporal_server import TemporalServer
from workflows.registration import register_search_attributes

EVENTS_A_RUN = 60


@asynccontextmanager
async def hasty_server(directory: Path) -> AsyncIterator[str]:
    """The address of a server that suggests a new run after few events."""
    with pytest.MonkeyPatch.context() as patch:
        limit = f"limit.historyCount.suggestContinueAsNew={EVENTS_A_RUN}"
        patch.setattr(temporal_server, "DYNAMIC_CONFIG", (*temporal_server.DYNAMIC_CONFIG, limit))
        async with TemporalServer(directory, search_attributes={}) as server:
            await register_search_attributes(await Client.connect(server.address))
            yield server.address
