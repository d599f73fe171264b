"""`POST /decode` and `POST /encode`.

A body is a protobuf `Payloads` in its JSON form, and so is the answer. A refusal has a `message`, a `code`
and the `request_id`. The log has who asked for how much, and nothing of what it was.
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
from entrypoints.codec_server.rate_limits import TokenBucket
from entrypoints.http.client_address import client_address
from entrypoints.http.metrics import HttpMetrics
from entrypoints.http.request_log import ObservedRequests
from entrypoints.http.sign_in_refusals import SignInRefusal, refuse_sign_in

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Twice what Temporal takes in a message: base64 makes four bytes of three."""

_HEADERS = ("Authorization", "Authorization-Extras", "Content-Type", "X-Namespace")
_SERVER = "codec"
_log = logging.getLogger("worksub")

Coding = Callable[[Sequence[Payload]], Awaitable[list[Payload]]]

_CODES_OF_ROUTING = {404: "NO_SUCH_PATH", 405: "METHOD_NOT_ALLOWED"}


class CodecRefusal(HTTPException):
    """A refusal with a stable code: one of `SignInRefusal`, or one of docs/encryption.md."""

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
    callers: Authenticator,
    encodes: bool = False,
    asking: TokenBucket | None = None,
    failing: TokenBucket | None = None,
    metrics: HttpMetrics | None = None,
) -> FastAPI:
    """The application; it answers for one namespace, to browsers from one origin.

    `asking` limits each caller, `failing` each address from which nobody was let in.
    """
    app = FastAPI(openapi_url=None)
    app.add_middleware(
        CORSMiddleware, allow_origins=[origin], allow_methods=["POST"], allow_headers=_HEADERS, max_age=600
    )
    asking, failing = asking or TokenBucket(400, 100.0), failing or TokenBucket(100, 0.2)

    async def let_in(request: Request) -> str:
        """Who asks, if they may."""
        place = client_address(request.scope)
        if request.headers.get("Origin", origin).lower() != origin:
            raise CodecRefusal(403, "ORIGIN_REFUSED", "This page may not ask.")
        # Taken before the token is judged, and given back if it is right: a burst does not pass the limit.
        if not failing.take(place):
            refuse_sign_in(request.scope, SignInRefusal.TOO_MANY_FAILURES)
            message = "Too many have failed to say who they are."
            raise CodecRefusal(429, SignInRefusal.TOO_MANY_FAILURES, message)
        try:
            caller = await callers.named(request.headers.get("Authorization"))
        except NotAllowedError as error:
            refuse_sign_in(request.scope, error.code, error.cause)
            raise CodecRefusal(401, error.code, str(error), {"WWW-Authenticate": "Bearer"}) from None
        except IssuerUnavailableError as error:
            failing.give_back(place)
            refuse_sign_in(request.scope, SignInRefusal.ISSUER_UNREACHABLE, error)
            raise CodecRefusal(503, SignInRefusal.ISSUER_UNREACHABLE, str(error)) from None
        failing.give_back(place)
        if not asking.take(caller):
            raise CodecRefusal(429, "RATE_LIMITED", "That was too often.")
        if request.headers.get("X-Namespace") != namespace:
            message = "X-Namespace names no namespace of this server."
            raise CodecRefusal(404, "NAMESPACE_UNKNOWN", message)
        return caller

    async def answered(request: Request, what: str, coding: Coding) -> Response:
        caller = await let_in(request)
        payloads = await _payloads_of(request)
        try:
            result = Payloads(payloads=await coding(payloads))
        except UnknownKeyError as error:
            raise CodecRefusal(422, "KEY_UNKNOWN", str(error)) from None
        _log.info(f"payloads {what}", extra={"fields": {"caller": caller, "payloads": len(payloads)}})
        return Response(MessageToJson(result, indent=None), media_type="application/json")

    @app.post("/decode")
    async def decode(request: Request) -> Response:
        return await answered(request, "decoded", encryption.decrypted)

    @app.post("/encode")
    async def encode(request: Request) -> Response:
        if not encodes:
            message = "This server only decodes: see WORKSUB_CODEC_ENCODE."
            raise CodecRefusal(403, "ENCODING_OFF", message)
        return await answered(request, "encoded", encryption.encode)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        code = getattr(error, "code", None) or _CODES_OF_ROUTING.get(error.status_code, "BAD_REQUEST")
        request_id: str = request.state.request_id
        fields = {"status": error.status_code, "code": code, "request_id": request_id}
        _log.warning("codec refused", extra={"fields": fields})
        answer = {"message": error.detail, "code": code, "request_id": request_id}
        return JSONResponse(answer, error.status_code, error.headers)

    @app.middleware("http")
    async def unkept(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await go_on(request)
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
            raise CodecRefusal(413, "BODY_TOO_LARGE", f"A body has {MAX_BODY_BYTES:,} bytes at most.")
    try:
        return Parse(bytes(body), Payloads()).payloads
    except (ParseError, UnicodeDecodeError, RecursionError):
        message = 'The body must be {"payloads": […]}, as protobuf writes it in JSON.'
        raise CodecRefusal(400, "MALFORMED_BODY", message) from None
