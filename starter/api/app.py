"""The API put together: its routes, its description, and what every request passes."""

from typing import Any

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Scope

from starter.api import health
from starter.api.asking import IDEMPOTENCY_KEY, KEY_PATTERN, check_query
from starter.api.bodies import definitions_of
from starter.api.docs import add_docs
from starter.api.doorway import Doorway
from starter.api.errors import add_handlers
from starter.api.problems import MEDIA_TYPE, ProblemDocument
from starter.api.routes import commands, lists, operators, questions, requesting, stream
from starter.api.service import Service
from subscription.adjustment import Adjust
from subscription.commands import COMMANDS
from subscription.request import Request

VERSION = "1"
_OWN_PATHS = {"v1", "docs", "openapi.json", "healthz", "readyz"}

_DESCRIPTION = """
Requests and steers NAVER WORKS subscriptions, and tells of them. A key belongs to one customer, or to the
operators of the service; to a customer, other customers' subscriptions do not exist.

- Every write takes an `Idempotency-Key`: the same key with the same body gives the first answer again.
- Every refusal is a problem document (RFC 9457) with a stable `code`, a sentence, and the `field`.
- Days are calendar dates in Korea; periods are half-open; money is whole KRW before VAT.
- Lists come page by page: `next` of a page is the `cursor` of the following one.
"""


def create_api() -> FastAPI:
    """The routes under `/v1`, health, and their description at `/docs`; no service behind them yet."""
    api = FastAPI(
        title="worksub",
        version=VERSION,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    add_handlers(api)
    add_docs(api)
    api.include_router(health.router)
    # What is fixed comes before what takes any id.
    for routes in (requesting, lists, operators, questions, stream, commands):
        api.include_router(routes.router, dependencies=[Depends(check_query)])
    api.openapi = lambda: _openapi(api)  # type: ignore[method-assign]
    return api


class _Beside(Mount):
    """All paths but the API's own: what is wrong with those is told in problem documents."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        own = scope["path"].lstrip("/").partition("/")[0] in _OWN_PATHS
        return (Match.NONE, {}) if own else super().matches(scope)


def create_app(service: Service, console: ASGIApp | None = None) -> FastAPI:
    """The application that `worksub api` runs: the API, and the console beside it."""
    app = create_api()
    app.state.service = service
    app.add_middleware(Doorway, patience=service.patience)
    if console is not None:
        app.router.routes.append(_Beside("/", app=console))
    return app


def _correct(operation: dict[str, Any]) -> None:
    """What FastAPI says of an operation by itself, and is not so."""
    unreadable = operation["responses"].get("422", {})
    if MEDIA_TYPE not in unreadable.get("content", {}):
        operation["responses"].pop("422", None)
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == IDEMPOTENCY_KEY:
            parameter |= {"required": True, "schema": {"type": "string", "pattern": KEY_PATTERN}}


def _openapi(api: FastAPI) -> dict[str, Any]:
    """The description, with the bodies that the rules read."""
    if api.openapi_schema is None:
        found = get_openapi(
            title=api.title, version=api.version, description=api.description, routes=api.routes
        )
        schemas = found["components"]["schemas"]
        schemas |= definitions_of(Request, Adjust, *COMMANDS.values())
        schemas["ProblemDocument"] = ProblemDocument.model_json_schema(
            ref_template="#/components/schemas/{model}", mode="serialization"
        )
        schemas |= definitions_of(ProblemDocument)
        del schemas["ProblemDocument"]["$defs"]
        for operation in (each for path in found["paths"].values() for each in path.values()):
            _correct(operation)
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        api.openapi_schema = found
    return api.openapi_schema
