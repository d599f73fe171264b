"""Routes `POST /decode` and `POST /encode` of the remote data encoder protocol of Temporal.

Requests and responses are a protobuf `Payloads` in its JSON form. A refusal has a `message`, a `code` and
the `request_id`. The log contains the caller and the number of payloads, never their contents.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from google.protobuf.json_format import MessageToJson, Parse, ParseError
from starlette.exceptions import HTTPException
from temporalio.api.common.v1 import Payload, Payloads

from adapters.temporal.encrypted_payload import UnknownKeyError
from adapters.temporal.payload_codec import AesGcmPayloadCodec
from entrypoints.codec_server.authentication import Authenticator, IssuerUnavailableError, NotAllowedError
from entrypoints.http.client_address import client_address
from entrypoints.http.metrics import HttpMetrics
from entrypoints.http.rate_limits import FailureLimit, RateLimit
from entrypoints.http.request_log import ObservedRequests
from entrypoints.http.sign_in_refusals import SignInRefusal, refuse_sign_in

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Twice the size limit of a Temporal message, because base64 allow_encode three bytes as four."""

_HEADERS = ("Authorization", "Authorization-Extras", "Content-Type", "X-Namespace")
_SERVER = "codec"
_log = logging.getLogger(__name__)

Coding = Callable[[Sequence[Payload]], Awaitable[list[Payload]]]

_CODES_OF_ROUTING = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}


class CodecRefusal(HTTPException):
    """Refusal with a stable code: a `SignInRefusal`, or a code listed in docs/encryption.md."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, message, dict(headers or {}))
        self.code = code


def codec_app(
    encryption: AesGcmPayloadCodec,
    *,
    namespace: str,
    origin: str,
    authenticator: Authenticator,
    allow_encode: bool = False,
    request_limit: str = "400/4 seconds",
    failure_limit: str = "100/8 minutes",
    metrics: HttpMetrics | None = None,
) -> FastAPI:
    """Create the application for one namespace and one allowed CORS origin.

    `request_limit` is the rate limit of each caller. `failure_limit` is the rate limit of failed
    authentication attempts from each client address.
    """
    app = FastAPI(openapi_url=None)
    app.add_middleware(
        CORSMiddleware, allow_origins=[origin], allow_methods=["POST"], allow_headers=_HEADERS, max_age=600
    )
    requests, failures = RateLimit(request_limit), FailureLimit(failure_limit)

    async def authorize(request: Request) -> str:
        """Return the caller's name, or raise `CodecRefusal`."""
        address = client_address(request.scope)
        if request.headers.get("Origin", origin).lower() != origin:
            raise CodecRefusal(403, "ORIGIN_REFUSED", "Origin not allowed.")
        if not await failures.hit(address):
            refuse_sign_in(request.scope, SignInRefusal.TOO_MANY_FAILURES)
            message = "Too many failed authentication attempts."
            raise CodecRefusal(429, SignInRefusal.TOO_MANY_FAILURES, message)
        try:
            caller = await authenticator.named(request.headers.get("Authorization"))
        except NotAllowedError as error:
            refuse_sign_in(request.scope, error.code, error.cause)
            raise CodecRefusal(401, error.code, str(error), {"WWW-Authenticate": "Bearer"}) from None
        except IssuerUnavailableError as error:
            await failures.undo(address)
            refuse_sign_in(request.scope, SignInRefusal.ISSUER_UNREACHABLE, error)
            raise CodecRefusal(503, SignInRefusal.ISSUER_UNREACHABLE, str(error)) from None
        await failures.undo(address)
        if not await requests.hit(caller):
            raise CodecRefusal(429, "RATE_LIMITED", "Rate limit exceeded.")
        if request.headers.get("X-Namespace") != namespace:
            message = "X-Namespace is missing or is not the namespace of this server."
            raise CodecRefusal(404, "NAMESPACE_UNKNOWN", message)
        return caller

    async def respond(request: Request, action: str, coding: Coding) -> Response:
        caller = await authorize(request)
        payloads = await _payloads_of(request)
        try:
            result = Payloads(payloads=await coding(payloads))
        except UnknownKeyError as error:
            raise CodecRefusal(422, "KEY_UNKNOWN", str(error)) from None
        _log.info(f"payloads {action}", extra={"fields": {"caller": caller, "payloads": len(payloads)}})
        return Response(MessageToJson(result, indent=None), media_type="application/json")

    @app.post("/decode")
    async def decode(request: Request) -> Response:
        return await respond(request, "decoded", encryption.decrypted)

    @app.post("/encode")
    async def encode(request: Request) -> Response:
        if not allow_encode:
            message = "Encoding is disabled on this server: see WORKSUB_CODEC_ENCODE."
            raise CodecRefusal(403, "ENCODING_OFF", message)
        return await respond(request, "encoded", encryption.encode)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        code = getattr(error, "code", None) or _CODES_OF_ROUTING.get(error.status_code, "BAD_REQUEST")
        request_id: str = request.state.request_id
        fields = {"status": error.status_code, "code": code, "request_id": request_id}
        _log.warning("codec refused", extra={"fields": fields})
        body = {"message": error.detail, "code": code, "request_id": request_id}
        return JSONResponse(body, error.status_code, error.headers)

    @app.middleware("http")
    async def add_security_headers(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await call_next(request)
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    app.add_middleware(ObservedRequests, metrics=metrics or HttpMetrics(_SERVER), server=_SERVER)
    return app


async def _payloads_of(request: Request) -> Sequence[Payload]:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise CodecRefusal(413, "PAYLOAD_TOO_LARGE", f"The body exceeds {MAX_BODY_BYTES:,} bytes.")
    try:
        return Parse(bytes(body), Payloads()).payloads
    except (ParseError, UnicodeDecodeError, RecursionError):
        message = 'The body must be {"payloads": […]} in the JSON format of protobuf.'
        raise CodecRefusal(400, "MALFORMED_BODY", message) from None
