"""Response headers under `/v1`: rate limits, and `ETag` with `If-None-Match`."""

import hashlib
import re
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entrypoints.api.rate_limits import Quota, RateLimits
from entrypoints.http.client_address import client_address

_ENTITY_TAG = re.compile(r'(?:W/)?("[^"]*")')


class RateLimitHeaders:
    """Middleware that adds the headers `RateLimit` and `RateLimit-Policy` to every response."""

    def __init__(self, app: ASGIApp, rates: RateLimits) -> None:
        self._app = app
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                quota = await self._quota(scope)
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers["RateLimit-Policy"], headers["RateLimit"] = quota.policy, quota.left
            await send(message)

        is_counted = scope["type"] == "http" and scope["path"].startswith("/v1/")
        await self._app(scope, receive, sending if is_counted else send)

    async def _quota(self, scope: Scope) -> Quota:
        """Return the rate limit that counted the request: the limit of its address if no key was checked."""
        counted: Quota | None = scope.get("state", {}).get("quota")
        return counted or await self._rates.unauthenticated(client_address(scope))


class EntityTags:
    """Middleware that adds an `ETag` to JSON reads, and responds with 304 if `If-None-Match` matches."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/") or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _TaggedResponse(scope, send).send)


class _TaggedResponse:
    """One response. A JSON body is buffered until its entity tag is calculated; a stream is not buffered."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._held: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            media_type = Headers(raw=message.get("headers", [])).get("content-type", "")
            if message["status"] == 200 and media_type.partition(";")[0] == "application/json":
                self._held = message
                return
        elif self._held is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_tagged(self._held)
            return
        await self._send(message)

    async def _send_tagged(self, start: Message) -> None:
        tag = f'"{hashlib.sha256(self._body).hexdigest()[:32]}"'
        headers = MutableHeaders(raw=start["headers"])
        headers["ETag"] = tag
        body: dict[str, Any] = {"type": "http.response.body", "body": self._body}
        if _is_among(tag, Headers(scope=self._scope).getlist("if-none-match")):
            start["status"], body["body"] = 304, b""
            del headers["content-length"], headers["content-type"]
        await self._send(start)
        await self._send(body)


def _is_among(tag: str, sent: list[str]) -> bool:
    """Return True if `If-None-Match` contains the tag, by the weak comparison of RFC 9110."""
    value = ", ".join(sent).strip()
    return value == "*" or tag in _ENTITY_TAG.findall(value)
