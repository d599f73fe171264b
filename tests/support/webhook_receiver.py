"""A webhook receiver of a customer over HTTP, with the failures that a test requires."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from standardwebhooks import Webhook
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from support.http_server import served
from support.polling import wait_for


class Receiver:
    """The receiver returns `status`, or nothing if `hangs`; events of subjects in `bad` get 500.

    A call that began while `hangs` is set gets no response until the receiver ends.
    """

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.hangs = False
        self.headers: dict[str, str] = {}
        self.ended = asyncio.Event()
        self._released = asyncio.Event()
        self._released.set()
        self.bad: set[str] = set()
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.taken: list[dict[str, Any]] = []
        self._at_once: set[str] = set()
        self.overlapped = False
        """True if two events of one subject were ever in flight at the same time."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        self.calls.append((dict(request.headers), body))
        event = json.loads(body)
        subject = event.get("subject", "")
        self.overlapped |= subject in self._at_once
        self._at_once.add(subject)
        try:
            if self.hangs:
                await self.ended.wait()
            await asyncio.sleep(0.01)  # overlapping calls of one subject must be visible
            await self._released.wait()
        finally:
            self._at_once.discard(subject)
        status = 500 if subject in self.bad else self.status
        if status == 200:
            self.taken.append(event)
        await Response(status_code=status, headers={"Location": self.url, **self.headers})(
            scope, receive, send
        )

    def holds(self) -> None:
        """Hold every response from now on, until `releases`."""
        self._released.clear()

    def releases(self) -> None:
        self._released.set()

    def of(self, subject: str) -> list[int]:
        """Return the sequence numbers of a subscription's accepted events, in order of arrival."""
        return [event["data"]["sequence"] for event in self.taken if event.get("subject") == subject]

    async def has(self, subject: str, *sequences: int) -> None:
        async def it_has() -> bool:
            return self.of(subject) == list(sequences)

        await wait_for(f"{sequences} of {subject} have arrived", it_has)

    async def is_called(self, times: int) -> None:
        async def it_is() -> bool:
            return len(self.calls) >= times

        await wait_for(f"it is called {times} times", it_is)

    async def has_taken(self, times: int) -> None:
        """Wait until so many events are accepted; a call is counted in `calls` before that."""

        async def it_has() -> bool:
            return len(self.taken) >= times

        await wait_for(f"{times} events are accepted", it_has)

    def verifies(self, secret: str) -> bool:
        """Return whether all received calls are signed with this secret."""
        for headers, body in self.calls:
            Webhook(secret).verify(body, headers)
        return bool(self.calls)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with served(receiver) as url:
        receiver.url = f"{url}/hook"
        try:
            yield receiver
        finally:
            receiver.ended.set()
