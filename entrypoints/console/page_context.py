"""Request context: session, language, form, and helpers to respond."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from adapters.language import Language
from adapters.password_hashing import PasswordHashing
from adapters.postgres.pool import Pool
from entrypoints.console.i18n import COOKIE as LANGUAGE_COOKIE
from entrypoints.console.i18n import Translator, language_of
from entrypoints.console.oidc_client import OidcClient
from entrypoints.console.refusal_messages import refusal_words
from entrypoints.console.rendering import TemplateRenderer
from entrypoints.console.sessions import Session, SessionKind, Sessions, new_token
from entrypoints.console.settings import ConsoleSettings
from entrypoints.console.urls import LANGUAGE, form_of, page_of
from entrypoints.http.sign_in_refusals import SignInRefusal, refuse_sign_in
from starter.caller import Caller
from starter.client import SubscriptionClient
from starter.command_rate_limits import CommandRates
from starter.scoped_client import ScopedClient
from subscription.refusals import Problem, Refusal
from subscription.validation import composed, is_storable

MOST_BYTES = 64 * 1024
_MOST_FIELDS = 100
_LANGUAGE_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True)
class ConsoleApp:
    """What every page needs of the process. `pool` acts as `worksub_console`."""

    client: SubscriptionClient
    pool: Pool
    settings: ConsoleSettings
    sessions: Sessions
    pages: TemplateRenderer
    hashing: PasswordHashing
    oidc: OidcClient | None = None
    command_rates: CommandRates = field(default_factory=CommandRates)


class ShortCircuitResponse(Exception):  # noqa: N818
    """The page cannot be shown; another answer takes its place."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


@dataclass
class PageContext:
    """`token` is the browser's secret in this realm; a form is only taken with the proof made from it."""

    console: ConsoleApp
    request: Request
    realm: SessionKind
    words: Translator
    token: str
    session: Session | None
    form: Mapping[str, str] = field(default_factory=dict)
    several: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cookies: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    """Cookies to be set with the answer: value and seconds, None for as long as the browser runs."""
    sign_in_refusal: SignInRefusal | None = None

    # -- who ---------------------------------------------------------------------------------------

    @property
    def caller(self) -> Caller:
        assert self.session is not None, "the page is only for those who are signed in"
        return Caller(self.session.customer_id)

    @property
    def desk(self) -> ScopedClient:
        """All that this caller may see and ask; another customer's subscription does not exist in it."""
        return ScopedClient(self.console.client, self.caller, self.console.command_rates)

    @property
    def subscription_id(self) -> str:
        subscription_id: str = self.request.path_params["subscription_id"]
        return subscription_id

    @property
    def here(self) -> str:
        """The page that is shown; where a form was sent, the page on which it stood."""
        return page_of(self.request)

    @property
    def form_page(self) -> str:
        """The form behind the page that is shown; a sign-in leads back to it."""
        return form_of(self.here)

    @property
    def chooses_language(self) -> bool:
        """Whether the form is not sent to be carried out, but to be shown again in another language."""
        return self.form.get(LANGUAGE) in tuple(Language)

    def take_language(self) -> None:
        """Answer in the language that the form or the address chooses, now and later."""
        chosen = self.form.get(LANGUAGE) or self.request.query_params.get(LANGUAGE)
        if chosen in tuple(Language):
            self.words = Translator(Language(chosen))
            self.cookies[LANGUAGE_COOKIE] = (chosen, _LANGUAGE_SECONDS)

    @property
    def ended(self) -> bool:
        """Whether somebody is here because the session has ended in the middle of a form."""
        return "ended" in self.request.query_params

    @property
    def proof(self) -> str:
        """What a form must carry to be taken: whoever does not have the cookie cannot know it."""
        return hmac.new(self.token.encode(), b"form", hashlib.sha256).hexdigest()

    def verify_csrf_token(self, proof: str) -> bool:
        return hmac.compare_digest(self.proof.encode(), proof.encode())

    def refuse_sign_in(
        self, code: SignInRefusal, error: Exception | None = None, *, issuer_error: str | None = None
    ) -> None:
        """Log and count a refused sign-in; the page shows the code and the request id."""
        self.sign_in_refusal = code
        refuse_sign_in(self.request.scope, code, error, issuer_error=issuer_error)

    @property
    def request_id(self) -> str | None:
        request_id: str | None = self.request.scope.get("state", {}).get("request_id")
        return request_id

    # -- answering ---------------------------------------------------------------------------------

    async def page(self, template: str, /, *, status: int = 200, **context: Any) -> HTMLResponse:
        told = self.session.told if self.session else None
        if told is not None:
            await self.console.sessions.tell(self.token, None)
        html = self.console.pages.render(
            template,
            self.words,
            visit=self,
            told=told,
            problems=context.pop("problems", {}),
            **context,
        )
        return HTMLResponse(html, status_code=status)

    async def go(self, path: str, told: str | None = None) -> RedirectResponse:
        """On to another page of ours, which says `told` first."""
        if told is not None:
            await self.console.sessions.tell(self.token, told)
        return RedirectResponse(path, status_code=303)

    def refusal(self, refused: Refusal | Problem) -> str:
        return refusal_words(refused, self.words)

    def problems(self, refused: Refusal, **renamed: str) -> dict[str, str]:
        """What is wrong by the field of the form; `""` is for the whole. `renamed` maps the rules' fields."""
        found = refused.problems or (
            Problem.model_validate(refused.model_dump(include=set(Problem.model_fields))),
        )
        said: dict[str, str] = {}
        for problem in found:
            name = (problem.field or "").replace(".", "_")
            words = self.refusal(problem if refused.problems else refused)
            key = renamed.get(name, name)
            said[key] = f"{said[key]} {words}" if key in said and words not in said[key] else words
        return said

    async def gone(self) -> HTMLResponse:
        return await self.page("not_found.html", status=404)


def cookie_name(realm: SessionKind, *, secure: bool) -> str:
    name = "works-admin" if realm is SessionKind.WORKS_ADMIN else "console"
    return f"__Host-{name}" if secure else name


def words_of(request: Request) -> Translator:
    asked = request.headers.get("accept-language", "")
    return Translator(language_of(request.cookies.get(LANGUAGE_COOKIE), asked))


async def visit_of(console: ConsoleApp, request: Request, realm: SessionKind) -> PageContext:
    """Read who asks and what; the form is read to its end only if it is small."""
    if not all(is_storable(text) for pair in request.query_params.multi_items() for text in pair):
        raise ShortCircuitResponse(Response("The address cannot be read.", status_code=400))
    cookies = request.cookies
    token = cookies.get(cookie_name(realm, secure=console.settings.secure), "")
    session = await console.sessions.find(token, realm) if token else None
    visit = PageContext(
        console=console,
        request=request,
        realm=realm,
        words=words_of(request),
        token=token or new_token(),
        session=session,
    )
    if not token:
        visit.cookies[cookie_name(realm, secure=console.settings.secure)] = (visit.token, None)
    if request.method == "POST":
        several = await _form(request)
        visit.several = several
        visit.form = {name: values[-1] for name, values in several.items()}
    return visit


async def _form(request: Request) -> dict[str, tuple[str, ...]]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise ShortCircuitResponse(Response("That is far too much.", status_code=413))
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
        if not all(is_storable(text) for pair in pairs for text in pair):
            raise ValueError("null characters")
    except ValueError:
        raise ShortCircuitResponse(Response("The form cannot be read.", status_code=400)) from None
    several: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        several[name] = (*several.get(name, ()), composed(value))
    return several
