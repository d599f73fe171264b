"""Request context: session, language, form, and helpers to respond."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from adapters.password_hashing import PasswordHashing
from adapters.postgres.pool import Pool
from adapters.tokens import new_token
from adapters.translation import Language, Translator
from entrypoints.console.language import COOKIE as LANGUAGE_COOKIE
from entrypoints.console.language import language_of
from entrypoints.console.oidc_client import OidcClient
from entrypoints.console.rendering import TemplateRenderer
from entrypoints.console.sessions import Flash, Session, SessionKind, Sessions
from entrypoints.console.settings import ConsoleSettings
from entrypoints.console.urls import LANGUAGE, form_of, page_of
from entrypoints.http.sign_in_refusals import SignInRefusal, refuse_sign_in
from starter.caller import Caller
from starter.client import SubscriptionClient
from starter.command_rate_limits import CommandRates
from starter.exports import SubscriptionExports
from subscription.catalogue import Catalogue
from subscription.issuer import Channel, Issuer
from subscription.refusals import Problem, Refusal, format_refusals
from subscription.validation import composed, is_storable

MOST_BYTES = 64 * 1024
_MOST_FIELDS = 100
_LANGUAGE_SECONDS = 365 * 24 * 3600


# Longer than the verification of any accepted hash on a machine that is not overloaded.
FAILURE_STEP_SECONDS = 1.0


@dataclass(frozen=True)
class ConsoleApp:
    """Resources shared by all pages. `pool` connects as the database role `worksub_console`.

    `failure_step`: a failed sign-in of NAVER WORKS Admin takes a multiple of these seconds.
    """

    client: SubscriptionClient
    pool: Pool
    exports: SubscriptionExports
    settings: ConsoleSettings
    sessions: Sessions
    pages: TemplateRenderer
    hashing: PasswordHashing
    oidc: OidcClient | None = None
    command_rates: CommandRates = field(default_factory=CommandRates)
    failure_step: float = FAILURE_STEP_SECONDS


class ShortCircuitResponse(Exception):  # noqa: N818
    """Replace the page by another response."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


@dataclass
class PageContext:
    """Context of one request. `token` is the session cookie, from which the CSRF token is derived."""

    console: ConsoleApp
    request: Request
    realm: SessionKind
    translator: Translator
    token: str
    session: Session | None
    form: Mapping[str, str] = field(default_factory=dict)
    form_lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cookies: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    """Cookies to set in the response: value and max age in seconds; None for a session cookie."""
    sign_in_refusal: SignInRefusal | None = None

    # -- who ---------------------------------------------------------------------------------------

    @property
    def caller(self) -> Caller:
        assert self.session is not None, "the page is only for those who are signed in"
        return Caller(self.session.customer_id)

    @property
    def client(self) -> SubscriptionClient:
        """Return a client limited to this caller: subscriptions of other customers do not exist in it."""
        assert self.session is not None
        channel = Channel.OPERATOR if self.caller.is_operator else Channel.CONSOLE
        issuer = Issuer.of(channel, self.session.name)
        return self.console.client.for_caller(self.caller, self.console.command_rates, issuer)

    @property
    def subscription_id(self) -> str:
        """Return the subscription in the URL; for an administrator, the only one of the session."""
        if self.session is not None and self.session.subscription_id is not None:
            return self.session.subscription_id
        subscription_id: str = self.request.path_params["subscription_id"]
        return subscription_id

    @property
    def current_path(self) -> str:
        """Return the URL of the page; for a submitted form, that of the page that contained the form."""
        return page_of(self.request)

    @property
    def form_page(self) -> str:
        """Return the URL of the form that leads to this page, to which a sign-in returns."""
        return form_of(self.current_path)

    @property
    def chooses_language(self) -> bool:
        """Return True if the form was submitted only to show the page in another language."""
        return self.form.get(LANGUAGE) in tuple(Language)

    def set_language(self) -> None:
        """Use the language chosen by the form or the URL, and store it in a cookie."""
        chosen = self.form.get(LANGUAGE) or self.request.query_params.get(LANGUAGE)
        if chosen in tuple(Language):
            self.translator = Translator(Language(chosen))
            self.cookies[LANGUAGE_COOKIE] = (chosen, _LANGUAGE_SECONDS)

    def name_terms(self, catalogue: Catalogue) -> None:
        """Show the terms of service of this catalogue by their titles."""
        self.translator = self.translator.with_term_titles(catalogue.terms)

    @property
    def ended(self) -> bool:
        """Return True if the user was redirected here because the session expired before a form was sent."""
        return "ended" in self.request.query_params

    @property
    def csrf_token(self) -> str:
        """Return the CSRF token: an HMAC of the session cookie, which other sites cannot read."""
        return hmac.new(self.token.encode(), b"form", hashlib.sha256).hexdigest()

    def verify_csrf_token(self, token: str) -> bool:
        return hmac.compare_digest(self.csrf_token.encode(), token.encode())

    def refuse_sign_in(
        self, code: SignInRefusal, error: Exception | None = None, *, issuer_error: str | None = None
    ) -> None:
        """Log and count a refused sign-in; the page shows the code and the request ID."""
        self.sign_in_refusal = code
        refuse_sign_in(self.request.scope, code, error, issuer_error=issuer_error)

    @property
    def request_id(self) -> str | None:
        request_id: str | None = self.request.scope.get("state", {}).get("request_id")
        return request_id

    # -- responses ---------------------------------------------------------------------------------

    async def render(self, template: str, /, *, status: int = 200, **context: Any) -> HTMLResponse:
        flash = self.session.flash if self.session else None
        if flash is not None:
            await self.console.sessions.set_flash(self.token, None)
        html = self.console.pages.render(
            template,
            self.translator,
            page=self,
            flash=flash,
            problems=context.pop("problems", {}),
            **context,
        )
        return HTMLResponse(html, status_code=status)

    async def redirect(self, path: str, flash: Flash | str | None = None) -> RedirectResponse:
        """Redirect to another page of the console, which first shows the flash message."""
        if flash is not None:
            flash = Flash(flash) if isinstance(flash, str) else flash
            await self.console.sessions.set_flash(self.token, flash)
        return RedirectResponse(path, status_code=303)

    def refusal(self, refused: Refusal | Problem) -> str:
        problems = refused.problems if isinstance(refused, Refusal) else ()
        return format_refusals((refused, *problems), self.translator)

    def problems(self, refused: Refusal, **renamed: str) -> dict[str, str]:
        """Return the error messages by form field; `""` is the whole form.

        `renamed` maps fields of the domain model to fields of the form.
        """
        found = refused.problems or (
            Problem.model_validate(refused.model_dump(include=set(Problem.model_fields))),
        )
        said: dict[str, str] = {}
        for problem in found:
            name = (problem.field or "").replace(".", "_")
            message = self.refusal(problem if refused.problems else refused)
            key = renamed.get(name, name)
            said[key] = f"{said[key]} {message}" if key in said and message not in said[key] else message
        return said

    async def not_found(self) -> HTMLResponse:
        return await self.render("not_found.html", status=404)


def cookie_name(realm: SessionKind, *, secure: bool) -> str:
    name = "works-admin" if realm is SessionKind.WORKS_ADMIN else "console"
    return f"__Host-{name}" if secure else name


def translator_of(request: Request) -> Translator:
    asked = request.headers.get("accept-language", "")
    return Translator(language_of(request.cookies.get(LANGUAGE_COOKIE), asked))


async def load_page_context(console: ConsoleApp, request: Request, realm: SessionKind) -> PageContext:
    """Read the session cookie, the language and the form, whose size is limited."""
    if not all(is_storable(text) for pair in request.query_params.multi_items() for text in pair):
        raise ShortCircuitResponse(Response("Invalid query string.", status_code=400))
    cookies = request.cookies
    token = cookies.get(cookie_name(realm, secure=console.settings.secure), "")
    session = await console.sessions.find(token, realm) if token else None
    page = PageContext(
        console=console,
        request=request,
        realm=realm,
        translator=translator_of(request),
        token=token or new_token(),
        session=session,
    )
    if not token:
        page.cookies[cookie_name(realm, secure=console.settings.secure)] = (page.token, None)
    if request.method == "POST":
        form_lists = await _form(request)
        page.form_lists = form_lists
        page.form = {name: values[-1] for name, values in form_lists.items()}
    return page


async def _form(request: Request) -> dict[str, tuple[str, ...]]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise ShortCircuitResponse(Response("The form is too large.", status_code=413))
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
        if not all(is_storable(text) for pair in pairs for text in pair):
            raise ValueError("null characters")
    except ValueError:
        raise ShortCircuitResponse(Response("Invalid form data.", status_code=400)) from None
    form_lists: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        form_lists[name] = (*form_lists.get(name, ()), composed(value))
    return form_lists
