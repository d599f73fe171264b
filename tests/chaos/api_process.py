"""The API process of a chaos run. It serves subscriptions with simulated time; a header has the time."""

import asyncio
import gc
import os
from collections.abc import Mapping
from typing import Any

from fastapi import Request
from starlette.types import ASGIApp

from chaos.client_process import SIMULATED_AT
from entrypoints.api.app import create_app
from entrypoints.api.app_state import AppState
from entrypoints.api.dependencies import ApiKeyDep, ServiceDep, scoped_client
from entrypoints.api.server import serve
from entrypoints.api.settings import ApiSettings
from starter.caller import Caller
from starter.client import SubscriptionClient
from starter.scoped_client import ScopedClient
from subscription.timeline import Answer, RequestAnswer


class SimulatedClient(ScopedClient):
    """A client for one caller, whose requests have the simulated time of the header."""

    def __init__(self, client: SubscriptionClient, caller: Caller, at: str) -> None:
        super().__init__(client, caller)
        self._at = at

    async def request(self, data: Mapping[str, Any]) -> RequestAnswer:
        return await super().request({**data, "simulated_at": self._at})

    async def command(self, subscription_id: str, name: str, argument: Any) -> Answer:
        return await super().command(subscription_id, name, {**argument, "at": self._at})


async def simulated_scoped_client(request: Request, service: ServiceDep, key: ApiKeyDep) -> ScopedClient:
    return SimulatedClient(service.client, key.caller, request.headers[SIMULATED_AT])


def create_simulated_app(service: AppState, console: ASGIApp) -> ASGIApp:
    app = create_app(service, console)
    app.dependency_overrides[scoped_client] = simulated_scoped_client
    return app


if __name__ == "__main__":
    try:
        asyncio.run(serve(ApiSettings.load(os.environ), put_together=create_simulated_app))
    finally:
        gc.collect()  # as worker.py does
