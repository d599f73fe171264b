"""ASGI wrapper that refuses ambiguous requests (request smuggling) and adds security headers."""

import logging

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger(__name__)

_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


class HttpGuard:
    """Outermost wrapper of every application. Headers that a response already has are not changed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif problem := _problem_of(scope):
            _log.info("request refused", extra={"fields": {"status": 400, "reason": problem}})
            # The end of the request is ambiguous, so the rest of the connection cannot be parsed.
            refusal = PlainTextResponse(f"Bad request: {problem}.", 400, {"Connection": "close"})
            await refusal(scope, receive, send_safely)
        else:
            await self._app(scope, receive, send_safely)


def _problem_of(scope: Scope) -> str | None:
    names = {name for name, _ in scope["headers"]}
    if b"transfer-encoding" in names and (b"content-length" in names or scope["http_version"] == "1.0"):
        return "the length of the body is ambiguous"
    if not scope["path"].startswith("/"):
        return "the target must be a path"
    return None
