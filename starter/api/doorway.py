"""What every request passes on its way in and out: an id, a limit to its size, patience, a line in the log.

The line has ids, codes and the path's pattern. What stands in a path, a query or a body is in no log.
"""

import asyncio
import logging
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from starter.api.errors import fault, own_answer
from starter.api.problems import ApiCode
from subscription.request import is_opaque_id

MOST_BYTES = 65_536

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_log = logging.getLogger("worksub")


@dataclass
class _Passing:
    """One request on its way."""

    scope: Scope
    request_id: str
    began: float = field(default_factory=time.monotonic)
    status: int | None = None
    """None as long as no answer has begun."""

    def log(self, error: Exception | None = None) -> None:
        state, route = self.scope["state"], self.scope.get("route")
        subscription_id = self.scope.get("path_params", {}).get("subscription_id", "")
        _log.log(
            logging.ERROR if error else logging.INFO,
            "A request has failed unforeseen." if error else "Answered.",
            exc_info=error,
            extra={
                "fields": {
                    "method": self.scope["method"],
                    "route": getattr(route, "path", None),
                    "status": self.status,
                    "ms": round((time.monotonic() - self.began) * 1000),
                    "key": state.get("key"),
                    "subscription_id": subscription_id if is_opaque_id(subscription_id) else None,
                    "request_id": self.request_id,
                }
            },
        )


class Doorway:
    """An answer under `/v1` must begin within `patience` seconds."""

    def __init__(self, app: ASGIApp, patience: float) -> None:
        self._app = app
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passing = _Passing(scope, _request_id(scope))
        scope.setdefault("state", {})["request_id"] = passing.request_id
        patience = self._patience if scope["path"].startswith("/v1/") else None

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                if limit.expired():
                    # The SDK makes an error of its own of being cancelled, and that would be answered now.
                    raise TimeoutError
                passing.status = message["status"]
                limit.reschedule(None)
                message.setdefault("headers", []).append((b"x-request-id", passing.request_id.encode()))
            await send(message)

        failed: Exception | None = None
        try:
            async with asyncio.timeout(patience) as limit:
                await self._app(scope, _limited(scope, receive), sending)
        except ClientDisconnect:
            pass  # nobody is there to be answered
        except Exception as error:
            late = passing.status is None and limit.expired()
            failed = None if late else error
            if passing.status is None:
                request_id = passing.request_id
                response = own_answer(ApiCode.NO_ANSWER, request_id) if late else fault(request_id)
                limit = asyncio.timeout(None)  # the answer itself may take its time
                async with limit:
                    await response(scope, receive, sending)
        finally:
            passing.log(failed)


def _request_id(scope: Scope) -> str:
    """The caller's own, if it is a decent one, or a new one."""
    sent: bytes = dict(scope["headers"]).get(b"x-request-id", b"")
    return sent.decode() if _REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex


def _limited(scope: Scope, receive: Receive) -> Receive:
    """The body as it comes, refused where it is too large, whatever its length was said to be."""
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    seen = 0

    async def receiving() -> Any:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > MOST_BYTES or (announced.isdigit() and int(announced) > MOST_BYTES):
                raise HTTPException(413)
        return message

    return receiving
