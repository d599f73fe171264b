"""Webhook receivers of customers: HTTP servers that at times fail, hang, or are down."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Literal, TypeAlias

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from support.http_server import served

ReceiverMode: TypeAlias = Literal["well", "failing", "hanging"]


@dataclass(frozen=True)
class Arrival:
    """One call of an endpoint. `at` is its time, `verified` the result of the Standard Webhooks library."""

    at: float
    headers: Mapping[str, str]
    body: bytes
    verified: bool
    answer: int | None
    """None if there was no response."""

    @property
    def taken(self) -> bool:
        return self.answer == 200


class Receiver:
    """One customer's endpoint, which keeps its port. `arrivals` has all calls."""

    def __init__(self, customer_id: str) -> None:
        self.customer_id = customer_id
        self.url = ""
        self.secret = ""
        self.mode: ReceiverMode = "well"
        self.arrivals: list[Arrival] = []
        self.called = asyncio.Event()
        self._failed: set[str] = set()
        self._standing = AsyncExitStack()
        self._port = 0

    async def open(self) -> None:
        self.url = await self._standing.enter_async_context(served(self, port=self._port))
        self._port = int(self.url.rpartition(":")[2])

    async def close(self) -> None:
        await self._standing.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        at, request = time.time(), Request(scope, receive)
        body, headers = await request.body(), dict(request.headers)
        answer = self._answer_to(headers.get("webhook-id", ""))
        self.called.set()
        self.arrivals.append(Arrival(at, headers, body, self._verifies(headers, body), answer))
        if answer is None:
            while (await receive())["type"] != "http.disconnect":
                pass
        else:
            await Response(status_code=answer)(scope, receive, send)

    def _answer_to(self, event_id: str) -> int | None:
        if self.mode == "hanging":
            return None
        # Fail each event once: after repeated failures, an endpoint is paused for longer than a run lasts.
        if self.mode == "failing" and event_id not in self._failed:
            self._failed.add(event_id)
            return 500
        return 200

    def _verifies(self, headers: dict[str, str], body: bytes) -> bool:
        try:
            Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError:
            return False
        return True
