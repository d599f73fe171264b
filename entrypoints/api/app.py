"""Application factory of the API: routes, middleware and OpenAPI description."""

from functools import cache

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from entrypoints.api import event_schema, health
from entrypoints.api.app_state import AppState
from entrypoints.api.dependencies import check_query
from entrypoints.api.docs import add_docs
from entrypoints.api.exception_handlers import add_handlers
from entrypoints.api.middleware import RequestMiddleware
from entrypoints.api.openapi_description import describe
from entrypoints.api.response_headers import EntityTags, RateLimitHeaders
from entrypoints.api.routes import (
    bulk,
    commands,
    contact_email,
    event_stream,
    export,
    journal,
    lists,
    operators,
    subscription_queries,
    subscription_requests,
    webhooks,
)

_OWN_PATHS = {"v1", "docs", "openapi.json", "healthz", "readyz", "schemas"}


def create_api() -> FastAPI:
    """Create the API without its state: routes under `/v1`, health checks, and OpenAPI at `/docs`."""
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
    # Starlette matches routes in order, so fixed paths must precede paths with a parameter.
    for routes in (
        subscription_requests,
        lists,
        operators,
        bulk,
        journal,
        subscription_queries,
        export,
        event_stream,
        commands,
        contact_email,
        webhooks,
    ):
        api.include_router(routes.router, dependencies=[Depends(check_query)])
    api.openapi = cache(lambda: describe(api))  # type: ignore[method-assign]
    return api


def _operation_id(route: APIRoute) -> str:
    """Return the name of the route's function in camel case, such as `listInvoices`."""
    first, *others = route.name.split("_")
    return first + "".join(word.capitalize() for word in others)


class _NonApiMount(Mount):
    """Mount for all paths except those of the API, whose errors are problem details (RFC 9457)."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        own = scope["path"].lstrip("/").partition("/")[0] in _OWN_PATHS
        return (Match.NONE, {}) if own else super().matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["server"] = "console"
        await super().handle(scope, receive, send)


def create_app(service: AppState, console: ASGIApp | None = None) -> FastAPI:
    """Create the application that `worksub api` runs: the API, and the console if there is one."""
    app = create_api()
    app.state.service = service
    app.add_middleware(EntityTags)
    app.add_middleware(RequestMiddleware, timeout_seconds=service.timeout_seconds, metrics=service.metrics)
    app.add_middleware(RateLimitHeaders, rates=service.rates)
    service.metrics.watch_streams(lambda: service.streams.total())
    if console is not None:
        app.router.routes.append(_NonApiMount("/", app=console))
    return app
