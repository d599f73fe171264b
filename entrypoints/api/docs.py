"""`/docs`: Swagger UI from local files."""

from importlib import resources
from typing import Any

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

# The Content-Security-Policy allows only what Swagger UI needs: images inside its style sheet (data: URLs),
# and requests to this server. frame-ancestors 'none' prevents clickjacking.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def add_docs(api: FastAPI) -> None:
    page = resources.files("entrypoints.api").joinpath("static", "docs.html").read_text(encoding="utf-8")

    @api.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(page, headers=_HEADERS)

    files = _Files(packages=[("entrypoints.api", "static"), ("fastapi_swagger", "resources")])
    api.mount("/docs", GZipMiddleware(files))


class _Files(StaticFiles):
    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(_HEADERS)
        return response
