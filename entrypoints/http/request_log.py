"""Request ID, access log line and metrics of each HTTP request.

A log line contains IDs, codes and the route's template. Paths, queries and bodies are never logged.
"""

import json
import logging
import re
import time
import uuid
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from entrypoints.http.metrics import HttpMetrics
from subscription.ids import is_opaque_id

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_log = logging.getLogger(__name__)


@dataclass
class ObservedRequest:
    """Record of one request. `server` is the default; a mounted application may set `state["server"]`."""

    scope: Scope
    metrics: HttpMetrics
    server: str
    request_id: str = ""
    began: float = field(default_factory=time.monotonic)
    status: int | None = None
    """None until the response starts."""
    seconds: float | None = None

    def __post_init__(self) -> None:
        self.request_id = _request_id(self.scope)
        self.scope.setdefault("state", {})["request_id"] = self.request_id

    def begin_answer(self, message: Message) -> None:
        """Store the status and the elapsed time, and add the request ID to the response headers."""
        self.status = message["status"]
        self.seconds = time.monotonic() - self.began
        message.setdefault("headers", []).append((b"x-request-id", self.request_id.encode()))

    def finish(self, error: Exception | None = None) -> None:
        """Log and count the request; `error` is an exception that no handler has processed."""
        state, passed = self.scope["state"], time.monotonic() - self.began
        server: str = state.get("server", self.server)
        route: str | None = getattr(self.scope.get("route"), "path", None) or None
        subscription_id = self.scope.get("path_params", {}).get("subscription_id", "")
        _log.log(
            logging.ERROR if error else logging.INFO,
            "Unhandled exception" if error else "Request completed",
            exc_info=error,
            extra={
                "fields": {
                    "server": server,
                    "method": self.scope["method"],
                    "route": route,
                    "status": self.status,
                    "ms": round(passed * 1000),
                    "key": state.get("key"),
                    "subscription_id": subscription_id if is_opaque_id(subscription_id) else None,
                    "request_id": self.request_id,
                }
            },
        )
        self.metrics.count_request(
            server=server,
            route=route,
            method=self.scope["method"],
            status=self.status,
            seconds=passed if self.seconds is None else self.seconds,
        )
        if refusal := state.get("sign_in_refusal"):
            code, cause, issuer_error = refusal
            self.metrics.count_refused_sign_in(server, code)
            _log.log(
                logging.WARNING if code.is_for_operators else logging.INFO,
                "sign-in refused",
                exc_info=cause,
                extra={
                    "fields": {
                        "server": server,
                        "code": code,
                        "issuer_error": issuer_error,
                        "request_id": self.request_id,
                    }
                },
            )


class ObservedRequests:
    """Middleware that logs and counts each request. An unhandled exception becomes a 500 response."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics, server: str) -> None:
        self._app = app
        self._metrics = metrics
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = ObservedRequest(scope, self._metrics, self._server)

        async def observed_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                request.begin_answer(message)
            await send(message)

        failed: Exception | None = None
        try:
            await self._app(scope, receive, observed_send)
        except ClientDisconnect:
            pass  # the client has disconnected and gets no response
        except Exception as error:
            failed = error
            if request.status is None:
                body = {
                    "message": "Internal error. Report it with the request_id.",
                    "request_id": request.request_id,
                }
                response = Response(json.dumps(body), 500, media_type="application/json")
                await response(scope, receive, observed_send)
        finally:
            request.finish(failed)


def _request_id(scope: Scope) -> str:
    """Return the client's X-Request-Id if it has at most 64 safe characters, or a new ID."""
    sent: bytes = dict(scope["headers"]).get(b"x-request-id", b"")
    return sent.decode() if _REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex
