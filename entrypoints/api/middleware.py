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

MAX_BODY_BYTES = 65_536


class RequestMiddleware:
    """Limit the body size, and the time until a response under `/v1` starts."""

    def __init__(self, app: ASGIApp, timeout_seconds: float, metrics: HttpMetrics) -> None:
        self._app = app
        self._timeout_seconds = timeout_seconds
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = ObservedRequest(scope, self._metrics, "api")
        timeout_seconds = self._timeout_seconds if scope["path"].startswith("/v1/") else None

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                if limit.expired():
                    # The Temporal SDK converts the cancellation to its own exception. Without this check,
                    # the handler of that exception would respond after the timeout.
                    raise TimeoutError
                request.begin_answer(message)
                limit.reschedule(None)
            await send(message)

        failed: Exception | None = None
        try:
            async with asyncio.timeout(timeout_seconds) as limit:
                await self._app(scope, _limited(scope, receive), sending)
        except ClientDisconnect:
            pass  # the client has disconnected and gets no response
        except Exception as error:
            late = request.status is None and limit.expired()
            failed = None if late else error
            if request.status is None:
                request_id = request.request_id
                response = (
                    error_response(ApiCode.TIMEOUT, request_id)
                    if late
                    else internal_error_response(request_id)
                )
                limit = asyncio.timeout(None)  # sending the error response has no time limit
                async with limit:
                    await response(scope, receive, sending)
        finally:
            request.finish(failed)


def _limited(scope: Scope, receive: Receive) -> Receive:
    """Return a receive function that raises 413 for a body that is too large.

    The received bytes are counted, because `Content-Length` can be wrong or absent.
    """
    content_length = dict(scope["headers"]).get(b"content-length", b"0")
    received = 0

    async def receiving() -> Any:
        nonlocal received
        message = await receive()
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            announced = int(content_length) if content_length.isdigit() else 0
            if max(received, announced) > MAX_BODY_BYTES:
                raise HTTPException(413)
        return message

    return receiving
