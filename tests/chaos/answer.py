"""The API as operators run it, but for lives whose time is simulated: a header says when it is."""

import asyncio
import gc
import os
from collections.abc import Mapping
from typing import Any

from fastapi import Request
from starlette.types import ASGIApp

from chaos.ask import SIMULATED_AT
from starter.access import Desk
from starter.api.app import create_app
from starter.api.asking import AKey, AService, desk_of
from starter.api.server import serve
from starter.api.service import Service
from starter.api.settings import api_settings_from
from starter.caller import Caller
from starter.client import SubscriptionClient
from subscription.effects import Answer, RequestAnswer


class SimulatedDesk(Desk):
    """One caller, who asks at a time of their own."""

    def __init__(self, client: SubscriptionClient, caller: Caller, at: str) -> None:
        super().__init__(client, caller)
        self._at = at

    async def request(self, data: Mapping[str, Any]) -> RequestAnswer:
        return await super().request({**data, "simulated_at": self._at})

    async def command(self, subscription_id: str, name: str, argument: Any) -> Answer:
        return await super().command(subscription_id, name, {**argument, "at": self._at})


async def simulated_desk_of(request: Request, service: AService, key: AKey) -> Desk:
    return SimulatedDesk(service.client, key.caller, request.headers[SIMULATED_AT])


def create_simulated_app(service: Service, console: ASGIApp) -> ASGIApp:
    app = create_app(service, console)
    app.dependency_overrides[desk_of] = simulated_desk_of
    return app


if __name__ == "__main__":
    try:
        asyncio.run(serve(api_settings_from(os.environ), put_together=create_simulated_app))
    finally:
        gc.collect()  # as worker.py does
