"""Access control, CSRF protection, cookies and security headers."""

import logging
from collections.abc import Awaitable, Callable
from enum import StrEnum
from urllib.parse import urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from temporalio.client import RPCTimeoutOrCancelledError
from temporalio.service import RPCError

from adapters.password_hashing import HashingBusyError
from adapters.postgres.pool import CONNECTION_ERRORS
from adapters.temporal.encrypted_payload import UnknownKeyError
from adapters.temporal.rpc_errors import Outcome, is_paused, outcome_of
from entrypoints.console.page_context import (
    ConsoleApp,
    PageContext,
    ShortCircuitResponse,
    cookie_name,
    load_page_context,
    translator_of,
)
from entrypoints.console.sessions import LONGEST_HOURS, SessionKind
from entrypoints.console.urls import LANGUAGE, form_of, page_of, without_language
from starter.command_rate_limits import TooManyCommandsError
from starter.exports import TooManyExportsError
from subscription.refusals import RefusalCode, RefusalError

_log = logging.getLogger(__name__)

Handler = Callable[[PageContext], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


class Audience(StrEnum):
    """Users who may see a page. NONE is for the 404 page, which needs no session and no CSRF token."""

    NONE = "NONE"
    PUBLIC = "PUBLIC"
    SIGNED_IN = "SIGNED_IN"
    CUSTOMERS = "CUSTOMERS"
    OPERATORS = "OPERATORS"


def protect(console: ConsoleApp, handler: Handler, whom: Audience, realm: SessionKind) -> Endpoint:
    """Wrap a page handler: session, authorization, CSRF check, error pages, session cookie."""

    async def endpoint(request: Request) -> Response:
        try:
            page = await load_page_context(console, request, realm)
            response = await _answer(page, handler, whom)
        except ShortCircuitResponse as short_circuit:
            return short_circuit.response
        except ClientDisconnect:
            return Response(status_code=400)  # not delivered: the client has disconnected
        except HashingBusyError:
            html = _standalone(console, request, "busy.html")
            return HTMLResponse(html, status_code=503, headers={"Retry-After": "5"})
        except Exception as error:
            if _is_unavailable(error):
                _log.warning("page unavailable: Temporal or the database cannot be reached", exc_info=True)
                html = _standalone(console, request, "unavailable.html")
                return HTMLResponse(html, status_code=503)
            _log.exception("Unhandled exception in a page")
            html = _standalone(console, request, "error.html")
            return HTMLResponse(html, status_code=500)
        _set_cookies(page, response)
        return response

    return endpoint


def _standalone(console: ConsoleApp, request: Request, template: str) -> str:
    """Render an error page, which links to the page that the user came from."""
    request_id = request.scope.get("state", {}).get("request_id")
    retry = form_of(page_of(request))
    return console.pages.render(template, translator_of(request), request_id=request_id, retry=retry)


def _is_unavailable(error: Exception) -> bool:
    """Return True for errors of the SDK or asyncpg that mean that a server is unavailable."""
    if isinstance(error, RuntimeError):  # raised by the SDK while its lazy client has not connected yet
        return "client connect" in str(error)
    if isinstance(error, RPCError):
        return outcome_of(error) is not Outcome.REFUSED
    if isinstance(error, RefusalError):
        return error.refused.code is RefusalCode.KEY_UNKNOWN
    return isinstance(error, (*CONNECTION_ERRORS, RPCTimeoutOrCancelledError, UnknownKeyError))


async def _answer(page: PageContext, handler: Handler, whom: Audience) -> Response:
    try:
        return await _access_denied_response(page, whom) or await handler(page)
    except TooManyCommandsError as error:
        return await _too_often(page, error)
    except TooManyExportsError:
        return await _too_many_exports(page)
    except RPCError as error:
        if not is_paused(error):
            raise
        said = page.translator.gettext("The subscription is paused; nothing has changed. Try again later.")
        return await page.render("refused.html", said=said, status=409)
    except RefusalError as refusal:
        refused = refusal.refused
        if refused.code in (RefusalCode.SUBSCRIPTION_NOT_FOUND, RefusalCode.INVOICE_NOT_FOUND):
            return await page.not_found()
        if refused.code is RefusalCode.KEY_UNKNOWN:
            raise
        status = 410 if refused.code is RefusalCode.DATA_ERASED else 409
        return await page.render("refused.html", said=page.refusal(refused), status=status)


async def _too_often(page: PageContext, error: TooManyCommandsError) -> Response:
    said = page.translator.gettext("Too many requests for this subscription. Wait a minute and try again.")
    response = await page.render("refused.html", said=said, status=429)
    response.headers["Retry-After"] = str(error.wait)
    return response


async def _too_many_exports(page: PageContext) -> Response:
    said = page.translator.gettext("Two exports are already in progress. Wait until one has finished.")
    response = await page.render("refused.html", said=said, status=429)
    response.headers["Retry-After"] = "60"
    return response


async def _access_denied_response(page: PageContext, whom: Audience) -> Response | None:
    if whom is Audience.NONE:
        return None
    if page.request.method == "POST" and not _has_valid_csrf_token(page):
        return await page.render("expired_form.html", status=403)
    page.set_language()
    if page.request.method == "GET" and LANGUAGE in page.request.query_params:
        return await page.redirect(without_language(page.current_path))
    if whom is Audience.PUBLIC:
        return None
    if page.session is None:
        return await page.redirect(sign_in_path(page))
    operator = page.session.customer_id is None and page.realm is SessionKind.CONSOLE
    if (whom is Audience.OPERATORS and not operator) or (whom is Audience.CUSTOMERS and operator):
        return await page.not_found()
    return None


def sign_in_path(page: PageContext) -> str:
    """Return the URL of the sign-in page, with the requested page as its return URL.

    A POST request shows that the user had a session, so the sign-in page reports that it has ended.
    """
    ended = page.request.method == "POST"
    if page.realm is SessionKind.WORKS_ADMIN:
        return "/works/sign-in?ended=1" if ended else "/works/sign-in"
    parameters = {"next": page.form_page} if page.form_page != "/" else {}
    query = urlencode({**parameters, "ended": "1"} if ended else parameters)
    return f"/sign-in?{query}" if query else "/sign-in"


def _has_valid_csrf_token(page: PageContext) -> bool:
    """Check the CSRF token, and that the browser reports a same-origin request."""
    headers = page.request.headers
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    if origin is not None and origin not in page.console.settings.origins:
        return False
    return page.verify_csrf_token(page.form.get("csrf_token", ""))


def _set_cookies(page: PageContext, response: Response) -> None:
    secure = page.console.settings.secure
    strict = page.realm is SessionKind.WORKS_ADMIN
    for name, (value, seconds) in page.cookies.items():
        response.set_cookie(
            name,
            value,
            max_age=seconds,
            path="/",
            secure=secure,
            httponly=True,
            samesite="strict" if strict else "lax",
        )


def set_session_cookie(page: PageContext, token: str) -> None:
    """Set a new session cookie. Replacing the cookie at sign-in prevents session fixation."""
    name = cookie_name(page.realm, secure=page.console.settings.secure)
    page.cookies[name] = (token, LONGEST_HOURS * 3600)
    page.token = token


def clear_cookie(page: PageContext, name: str) -> None:
    page.cookies[name] = ("", 0)


class SecurityHeadersMiddleware:
    """Add security headers: Content-Security-Policy, HSTS, and no caching of pages.

    frame-ancestors 'none' prevents clickjacking. nosniff prevents MIME sniffing.
    """

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        self._app = app
        self._secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if self._secure:
                    headers["Strict-Transport-Security"] = "max-age=31536000"
                if not scope["path"].startswith("/static/"):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        await self._app(scope, receive, send_safely)


_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
