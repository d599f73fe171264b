"""The API process of a chaos run. It serves subscriptions with simulated time; a header has the time."""

import asyncio
import gc
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import Request
from starlette.types import ASGIApp
from temporalio.client import Client

from adapters.postgres.pool import Pool
from chaos.client_process import SIMULATED_AT
from entrypoints.api.app import create_app
from entrypoints.api.app_state import AppState
from entrypoints.api.dependencies import ApiKeyDep, ServiceDep, scoped_client
from entrypoints.api.server import serve
from entrypoints.api.settings import ApiSettings
from starter.caller import Caller
from starter.client import SubscriptionClient
from subscription.commands import Command
from subscription.timeline import Answer, RequestAnswer


class SimulatedClient(SubscriptionClient):
    """A client for one caller, whose requests have the simulated time of the header."""

    def __init__(self, temporal: Client, pool: Pool, caller: Caller, at: str) -> None:
        super().__init__(temporal, pool, caller=caller)
        self._at = at

    async def request(self, data: Mapping[str, Any]) -> RequestAnswer:
        return await super().request({**data, "simulated_at": self._at})

    async def send(self, subscription_id: str, command: Command) -> Answer:
        at = datetime.fromisoformat(self._at)
        return await super().send(subscription_id, command.model_copy(update={"at": at}))


async def simulated_client(request: Request, service: ServiceDep, key: ApiKeyDep) -> SubscriptionClient:
    return SimulatedClient(service.temporal, service.reading, key.caller, request.headers[SIMULATED_AT])


def create_simulated_app(service: AppState, console: ASGIApp) -> ASGIApp:
    app = create_app(service, console)
    app.dependency_overrides[scoped_client] = simulated_client
    return app


if __name__ == "__main__":
    try:
        asyncio.run(serve(ApiSettings.load(os.environ), app_factory=create_simulated_app))
    finally:
        gc.collect()  # as worker.py does
