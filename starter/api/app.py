"""The API put together: its routes, its description, and what every request passes."""

from functools import cache

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from starter.api import event_schema, health
from starter.api.answer_headers import EntityTags, RateLimitHeaders
from starter.api.asking import check_query
from starter.api.description import describe
from starter.api.docs import add_docs
from starter.api.doorway import Doorway
from starter.api.errors import add_handlers
from starter.api.routes import commands, lists, operators, questions, requesting, stream, webhooks
from starter.api.service import Service

_OWN_PATHS = {"v1", "docs", "openapi.json", "healthz", "readyz", "schemas"}


def create_api() -> FastAPI:
    """The routes under `/v1`, health, and their description at `/docs`; no service behind them yet."""
    api = FastAPI(
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    add_handlers(api)
    add_docs(api)
    api.include_router(health.router)
    api.include_router(event_schema.router)
    # What is fixed comes before what takes any id.
    for routes in (requesting, lists, operators, questions, stream, commands, webhooks):
        api.include_router(routes.router, dependencies=[Depends(check_query)])
    api.openapi = cache(lambda: describe(api))  # type: ignore[method-assign]
    return api


def _operation_id(route: APIRoute) -> str:
    """Return the name of the route's function, as clients in most languages write it: `listInvoices`."""
    first, *others = route.name.split("_")
    return first + "".join(each.capitalize() for each in others)


class _Beside(Mount):
    """All paths but the API's own: what is wrong with those is told in problem documents."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        own = scope["path"].lstrip("/").partition("/")[0] in _OWN_PATHS
        return (Match.NONE, {}) if own else super().matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["server"] = "console"
        await super().handle(scope, receive, send)


def create_app(service: Service, console: ASGIApp | None = None) -> FastAPI:
    """The application that `worksub api` runs: the API, and the console beside it."""
    app = create_api()
    app.state.service = service
    app.add_middleware(EntityTags)
    app.add_middleware(Doorway, patience=service.patience, metrics=service.metrics)
    app.add_middleware(RateLimitHeaders, rates=service.rates)
    service.metrics.watch_streams(lambda: service.streams.total())
    if console is not None:
        app.router.routes.append(_Beside("/", app=console))
    return app
