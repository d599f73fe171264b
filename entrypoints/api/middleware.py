"""ASGI middleware: request ID, access log, metrics, body size limit, timeout."""

import asyncio
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entrypoints.api.exception_handlers import error_response, internal_error_response
from entrypoints.api.problem_details import ApiCode
from entrypoints.http.metrics import HttpMetrics
from entrypoints.http.request_log import ObservedRequest

MOST_BYTES = 65_536


class RequestMiddleware:
    """An answer under `/v1` must begin within `patience` seconds."""

    def __init__(self, app: ASGIApp, patience: float, metrics: HttpMetrics) -> None:
        self._app = app
        self._patience = patience
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = ObservedRequest(scope, self._metrics, "api")
        patience = self._patience if scope["path"].startswith("/v1/") else None

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                if limit.expired():
                    # The SDK makes an error of its own of being cancelled, and that would be answered now.
                    raise TimeoutError
                request.begin_answer(message)
                limit.reschedule(None)
            await send(message)

        failed: Exception | None = None
        try:
            async with asyncio.timeout(patience) as limit:
                await self._app(scope, _limited(scope, receive), sending)
        except ClientDisconnect:
            pass  # nobody is there to be answered
        except Exception as error:
            late = request.status is None and limit.expired()
            failed = None if late else error
            if request.status is None:
                request_id = request.request_id
                response = (
                    error_response(ApiCode.NO_ANSWER, request_id)
                    if late
                    else internal_error_response(request_id)
                )
                limit = asyncio.timeout(None)  # the answer itself may take its time
                async with limit:
                    await response(scope, receive, sending)
        finally:
            request.finish(failed)


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
