"""Sign-in with OpenID Connect, and developer sign-in on the local stack."""

import logging
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from pydantic_core import PydanticCustomError
from starlette.responses import Response

from adapters.translation import Translator
from entrypoints.console import sign_in_state
from entrypoints.console.access_control import clear_cookie, set_session_cookie
from entrypoints.console.oidc_client import Prompt, SignInFailedError
from entrypoints.console.page_context import PageContext, cookie_name
from entrypoints.console.request_draft import cookies_in
from entrypoints.console.sessions import SessionKind
from entrypoints.console.urls import local_path
from entrypoints.http.sign_in_refusals import SignInRefusal
from subscription.email_address import email_address
from subscription.ids import is_opaque_id
from subscription.validation import is_storable

CALLBACK, SIGNED_OUT = "/sign-in/callback", "/sign-in/signed-out"
_STATUS = {
    SignInRefusal.ISSUER_UNREACHABLE: 503,
    SignInRefusal.ISSUER_ANSWER_INVALID: 503,
    SignInRefusal.CLIENT_REJECTED: 503,
    SignInRefusal.TOO_MANY_SIGN_INS: 429,
}
"""HTTP status by code; 403 is the default."""
_LONGEST_NEXT = 1000
_log = logging.getLogger(__name__)


async def sign_in(page: PageContext) -> Response:
    """Show the sign-in page, or redirect a user who is already signed in."""
    if page.session is not None:
        return await page.redirect(_next(page))
    return await _sign_in_page(page)


async def developer_sign_in(page: PageContext) -> Response:
    """Sign in as any customer or operator without a password, on the local development stack only."""
    if not page.console.settings.developer_sign_in or not _is_from_this_machine(page):
        return await page.not_found()
    if page.chooses_language:
        return await _sign_in_page(page)
    customer_id = page.form.get("customer_id", "").strip()
    operator = page.form.get("as") == "operator"
    if not operator and not is_opaque_id(customer_id):
        page.refuse_sign_in(SignInRefusal.CUSTOMER_ID_INVALID)
        said = page.translator.gettext(
            "Enter letters, digits, '.', '_', ':' or '-', beginning with a letter or digit."
        )
        return await _sign_in_page(page, problems={"customer_id": said}, status=422)
    return await _signed_in(page, None if operator else customer_id, "developer", _next(page))


def _is_from_this_machine(page: PageContext) -> bool:
    """Check the client address, which comes from the connection or the proxy, and never the Host header."""
    client = page.request.client
    try:
        return client is not None and ip_address(client.host).is_loopback
    except ValueError:
        return False


async def start_oidc(page: PageContext) -> Response:
    """Redirect to the issuer, with a state, a nonce and a PKCE challenge bound to this browser."""
    if page.console.oidc is None:
        return await page.not_found()
    return await _to_issuer(page, Prompt.SELECT_ACCOUNT if _choose(page) else None, _next(page))


async def _to_issuer(page: PageContext, prompt: Prompt | None, next_path: str) -> Response:
    settings, oidc = page.console.settings, page.console.oidc
    assert settings.oidc is not None
    assert oidc is not None
    oauth_state: dict[str, Any] = {}
    page.request.scope["session"] = oauth_state
    try:
        response = await oidc.begin(page.request, settings.url + CALLBACK, prompt)
    except SignInFailedError as failure:
        return await _failed(page, failure, next_path)
    # Browsers discard cookies of more than 4 kB.
    next_path = next_path if len(next_path) <= _LONGEST_NEXT else "/"
    state = {"authlib": oauth_state, "next": next_path, "prompt": prompt}
    cookie = sign_in_state.encrypt(state, settings.oidc.client_secret)
    page.cookies[_oidc_cookie_name(page)] = (cookie, sign_in_state.KEPT_SECONDS)
    return response


async def oidc_callback(page: PageContext) -> Response:
    """Sign in with the claims of the ID token, and of the userinfo endpoint if they are not sufficient."""
    settings, oidc = page.console.settings, page.console.oidc
    if settings.oidc is None or oidc is None:
        return await page.not_found()
    cookie = page.request.cookies.get(_oidc_cookie_name(page), "")
    state = sign_in_state.decrypt(cookie, settings.oidc.client_secret)
    if state is None:
        return await _failed(page, SignInFailedError(SignInRefusal.SIGN_IN_NOT_STARTED, None), "/")
    clear_cookie(page, _oidc_cookie_name(page))
    page.request.scope["session"] = dict(state["authlib"])
    next_path = local_path(state["next"])
    try:
        identity = await oidc.finish(page.request)
    except SignInFailedError as failure:
        if failure.issuer_error == "invalid_request" and state["prompt"] == Prompt.SELECT_ACCOUNT:
            # The issuer does not support this prompt and lists no supported prompts; `login` is required.
            return await _to_issuer(page, Prompt.LOGIN, next_path)
        return await _failed(page, failure, next_path)
    claims = identity.claims
    operator = settings.oidc.is_operator(claims)
    customer_id = claims.get(settings.oidc.customer_claim)
    known = isinstance(customer_id, str) and is_opaque_id(customer_id)
    if not operator and not known:
        return await _failed(page, SignInFailedError(SignInRefusal.ACCOUNT_UNKNOWN, None), next_path)
    name = str(claims.get("name") or claims.get("email") or claims.get("sub") or "")[:200]
    name = name if is_storable(name) else ""
    document = {"id_token": identity.id_token, "email": _email(claims)}
    return await _signed_in(page, None if operator else customer_id, name, next_path, document)


def _email(claims: Mapping[str, Any]) -> str:
    """Return the user's email address; empty if it is invalid, or not verified according to the issuer.

    Some issuers send `email_verified` as text.
    """
    if str(claims.get("email_verified")).lower() == "false":
        return ""
    try:
        return email_address(str(claims.get("email", "")))
    except PydanticCustomError:
        return ""


async def sign_out(page: PageContext) -> Response:
    """End the session, then sign out at the issuer, which would otherwise sign in again without a prompt."""
    assert page.session is not None
    oidc, id_token = page.console.oidc, page.session.document.get("id_token")
    await page.console.sessions.end(page.token)
    clear_cookie(page, cookie_name(page.realm, secure=page.console.settings.secure))
    for cookie in cookies_in(page.request.cookies):
        clear_cookie(page, cookie)
    page.session = None
    if oidc is None or id_token is None:
        return await page.redirect("/sign-in")
    try:
        url = await oidc.logout_url(id_token, page.console.settings.url + SIGNED_OUT)
    except SignInFailedError as failure:
        fields = {"code": failure.code, "request_id": page.request_id}
        _log.warning("sign-out at the issuer failed", exc_info=failure.cause, extra={"fields": fields})
        url = None
    if url is None:
        return await page.redirect(SIGNED_OUT)
    # Not a redirect: browsers also apply the Content-Security-Policy's form-action to redirects of a form.
    response = await page.render("signed_out.html", url=url)
    response.headers["Refresh"] = f"0; url={url}"
    return response


async def signed_out(page: PageContext) -> Response:
    """Redirect after the issuer's logout to the sign-in page, which lets the user choose the account."""
    return await page.redirect("/sign-in?choose=1")


async def _signed_in(
    page: PageContext,
    customer_id: str | None,
    name: str,
    next_path: str,
    document: Mapping[str, Any] | None = None,
) -> Response:
    if page.session is not None:
        await page.console.sessions.end(page.token)
    token = await page.console.sessions.begin(
        SessionKind.CONSOLE, customer_id=customer_id, name=name, document=document
    )
    set_session_cookie(page, token)
    return await page.redirect(next_path)


async def _failed(page: PageContext, failure: SignInFailedError, next_path: str) -> Response:
    page.refuse_sign_in(failure.code, failure.cause, issuer_error=failure.issuer_error)
    return await _sign_in_page(
        page,
        problems={"": _words_of(failure.code, page.translator)},
        status=_STATUS.get(failure.code, 403),
        choose=failure.code is SignInRefusal.ACCOUNT_UNKNOWN,
        next_path=next_path,
    )


def _words_of(code: SignInRefusal, translator: Translator) -> str:
    gettext = translator.gettext
    match code:
        case SignInRefusal.ISSUER_UNREACHABLE:
            return gettext("Your organization's sign-in is not responding. Try again in a few minutes.")
        case SignInRefusal.AUTHORIZATION_REFUSED:
            return gettext("Your organization's sign-in was refused or canceled. Please try again.")
        case SignInRefusal.SIGN_IN_NOT_STARTED:
            return gettext("This sign-in was started in another browser, or too long ago. Please try again.")
        case SignInRefusal.AUTHORIZATION_CODE_REJECTED | SignInRefusal.TOKEN_EXPIRED:
            return gettext("The sign-in took too long. Please try again.")
        case SignInRefusal.TOO_MANY_SIGN_INS:
            return gettext("Too many sign-ins from your network. Please try again in a minute.")
        case SignInRefusal.ACCOUNT_UNKNOWN:
            return gettext("This account belongs to no customer.")
    return gettext("Sign-in is not set up correctly. Please send the line below to support.")


async def _sign_in_page(
    page: PageContext,
    *,
    problems: Mapping[str, str] | None = None,
    status: int = 200,
    choose: bool = False,
    next_path: str | None = None,
) -> Response:
    settings = page.console.settings
    return await page.render(
        "sign_in.html",
        status=status,
        problems=problems or {},
        next_path=next_path or _next(page),
        choose=choose or _choose(page),
        with_issuer=settings.oidc is not None,
        as_developer=settings.developer_sign_in,
    )


def _choose(page: PageContext) -> bool:
    """Return True if the issuer must show the account chooser, even to a signed-in browser."""
    return "choose" in page.request.query_params


def _next(page: PageContext) -> str:
    return local_path(page.form.get("next") or page.request.query_params.get("next", "/"))


def _oidc_cookie_name(page: PageContext) -> str:
    return "__Host-signing-in" if page.console.settings.secure else "signing-in"
