"""Signing in by OpenID Connect; and, on a developer's own stack alone, as whoever one wants to be."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.starlette_client import OAuth
from joserfc.errors import JoseError
from starlette.responses import Response

from starter.console.addresses import local_path
from starter.console.drafts import COOKIE as DRAFT_COOKIE
from starter.console.guarding import forget, keep_signed_in
from starter.console.sessions import Realm
from starter.console.settings import OidcSettings
from starter.console.visit import Visit, cookie_name

CALLBACK = "/sign-in/callback"
_CUSTOMER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")


async def sign_in(visit: Visit) -> Response:
    """Where one chooses how to sign in; whoever is signed in already goes on."""
    if visit.session is not None:
        return await visit.go(_next(visit))
    return await _sign_in_page(visit)


async def as_developer(visit: Visit) -> Response:
    """Anybody as anybody: the embedded stack has no customers."""
    if not visit.console.settings.embedded or not _is_from_this_machine(visit):
        return await visit.gone()
    customer_id = visit.form.get("customer_id", "").strip()
    operator = visit.form.get("as") == "operator"
    if not operator and _CUSTOMER_ID.fullmatch(customer_id) is None:
        said = visit.words.say("Letters, digits, '.', '_', ':' or '-', the first a letter or digit.")
        return await _sign_in_page(visit, problems={"customer_id": said}, status=422)
    return await _signed_in(visit, None if operator else customer_id, "developer", _next(visit))


def _is_from_this_machine(visit: Visit) -> bool:
    """Tell by the connection, or by the proxy's word for it, and never by the Host header."""
    client = visit.request.client
    try:
        return client is not None and ip_address(client.host).is_loopback
    except ValueError:
        return False


async def to_issuer(visit: Visit) -> Response:
    """Off to the issuer, with a state, a nonce and a PKCE challenge that only this browser can redeem."""
    settings = visit.console.settings
    if settings.oidc is None:
        return await visit.gone()
    remembered: dict[str, Any] = {}
    visit.request.scope["session"] = remembered
    try:
        response: Response = await _client(settings.oidc).authorize_redirect(
            visit.request, settings.url + CALLBACK
        )
    except (OAuthError, httpx2.HTTPError, ValueError):
        return await _failed(visit)
    document = {"authlib": remembered, "next": _next(visit)}
    token = await visit.console.sessions.begin(Realm.SIGNING_IN, document=document)
    visit.cookies[_under_way(visit)] = (token, 600)
    return response


async def from_issuer(visit: Visit) -> Response:
    """Back from the issuer: who it is, by the claims of an ID token that was meant for us, now."""
    settings = visit.console.settings
    token = visit.request.cookies.get(_under_way(visit), "")
    under_way = await visit.console.sessions.find(token, Realm.SIGNING_IN)
    if settings.oidc is None or under_way is None:
        return await _failed(visit)
    await visit.console.sessions.end(token)
    forget(visit, _under_way(visit))
    visit.request.scope["session"] = dict(under_way.document["authlib"])
    try:
        answer = await _client(settings.oidc).authorize_access_token(visit.request)
    except (OAuthError, JoseError, httpx2.HTTPError, ValueError, KeyError):
        return await _failed(visit)
    claims: Mapping[str, Any] = answer.get("userinfo") or {}
    groups = claims.get(settings.oidc.operator_claim) or ()
    operator = settings.oidc.operator_group in ([groups] if isinstance(groups, str) else groups)
    customer_id = claims.get(settings.oidc.customer_claim)
    known = isinstance(customer_id, str) and _CUSTOMER_ID.fullmatch(customer_id)
    if not operator and not known:
        return await _failed(visit, visit.words.say("This account belongs to no customer."))
    name = str(claims.get("name") or claims.get("email") or claims.get("sub") or "")[:200]
    next_path = local_path(str(under_way.document.get("next", "/")))
    return await _signed_in(visit, None if operator else customer_id, name, next_path)


async def sign_out(visit: Visit) -> Response:
    await visit.console.sessions.end(visit.token)
    forget(visit, cookie_name(visit.realm, secure=visit.console.settings.secure))
    forget(visit, DRAFT_COOKIE)
    return await visit.go("/sign-in")


async def _signed_in(visit: Visit, customer_id: str | None, name: str, next_path: str) -> Response:
    token = await visit.console.sessions.begin(Realm.CONSOLE, customer_id=customer_id, name=name)
    keep_signed_in(visit, token)
    return await visit.go(next_path)


async def _failed(visit: Visit, why: str | None = None) -> Response:
    said = why or visit.words.say("Signing in did not work. Please try again.")
    return await _sign_in_page(visit, problems={"": said}, status=403)


async def _sign_in_page(
    visit: Visit, *, problems: Mapping[str, str] | None = None, status: int = 200
) -> Response:
    settings = visit.console.settings
    return await visit.page(
        "sign_in.html",
        status=status,
        problems=problems or {},
        next_path=_next(visit),
        with_issuer=settings.oidc is not None,
        as_developer=settings.embedded,
    )


def _next(visit: Visit) -> str:
    return local_path(visit.form.get("next") or visit.request.query_params.get("next", "/"))


def _under_way(visit: Visit) -> str:
    return "__Host-signing-in" if visit.console.settings.secure else "signing-in"


def _client(oidc: OidcSettings) -> Any:
    registry = OAuth()
    registry.register(
        "issuer",
        client_id=oidc.client_id,
        client_secret=oidc.client_secret,
        server_metadata_url=f"{oidc.issuer}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256", "timeout": 10},
    )
    return registry.create_client("issuer")  # type: ignore[no-untyped-call]
