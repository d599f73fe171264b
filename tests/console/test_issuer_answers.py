"""Invalid issuer responses: each yields a code and an error page, and creates no session."""

import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlencode

import httpx
import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeyParameters, KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from support.console_server import ConsoleServer, run_console
from support.html_forms import submit
from support.http_server import served
from support.polling import gather_all
from support.service_env import ServiceEnv

from entrypoints.console.oidc_discovery import Discovery
from entrypoints.console.settings import ConsoleSettings, OidcSettings
from entrypoints.console.sign_in_state import encrypt

KEY: KeyParameters = {"kid": "1", "use": "sig", "alg": "RS256"}


@cache
def signing_key() -> RSAKey:
    """Return the key of every issuer here, generated when a test first needs it."""
    return RSAKey.generate_key(2048, parameters=KEY)


@dataclass
class TestIssuer:
    """An OpenID issuer that signs real tokens and whose responses a test can change."""

    __test__ = False

    url: str = ""
    expires_in: int = 600
    claims: dict[str, Any] = field(default_factory=dict)
    """Replacements of the ID token's claims; None removes one."""
    userinfo: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, Response] = field(default_factory=dict)
    """Replacement responses by path."""
    redirected_with: dict[str, str] = field(default_factory=dict)
    """Query parameters of the redirect back, instead of a code."""
    offered: dict[str, Any] = field(default_factory=dict)
    """Replacements of fields of the discovery document."""
    authorization_queries: list[dict[str, str]] = field(default_factory=list)
    """The queries of the authorization requests."""
    requests: Counter[str] = field(default_factory=Counter)
    """The number of requests by path."""
    _nonces: dict[str, str] = field(default_factory=dict)

    def app(self) -> Starlette:
        pages = {
            "/.well-known/openid-configuration": self.discovery,
            "/authorize": self.authorize,
            "/token": self.token,
            "/userinfo": self.tell,
            "/keys": self.keys,
        }

        def answering(path: str, page: Any) -> Any:
            async def answer(request: Request) -> Response:
                self.requests[path] += 1
                replaced = self.overrides.get(path)
                if replaced is not None:
                    return replaced
                answered: Response = await page(request)
                return answered

            return answer

        return Starlette(
            routes=[
                Route(path, answering(path, page), methods=["GET", "POST"]) for path, page in pages.items()
            ]
        )

    async def discovery(self, _: Request) -> Response:
        document = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/keys",
            "id_token_signing_alg_values_supported": ["RS256"],
            **self.offered,
        }
        return JSONResponse(document)

    async def authorize(self, request: Request) -> Response:
        query = dict(request.query_params)
        self.authorization_queries.append(query)
        code = secrets.token_urlsafe()
        self._nonces[code] = query["nonce"]
        back = self.redirected_with or {"code": code}
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode({'state': query['state'], **back})}")

    async def token(self, request: Request) -> Response:
        [code] = parse_qs((await request.body()).decode())["code"]
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": "minji",
            "aud": "console",
            "exp": now + self.expires_in,
            "iat": now,
            "nonce": self._nonces[code],
            "customer_id": "C-77",
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        id_token = jwt.encode({"alg": "RS256", "kid": "1"}, claims, signing_key())
        return JSONResponse({"access_token": "opaque", "token_type": "Bearer", "id_token": id_token})

    async def tell(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer opaque"
        return JSONResponse({"sub": "minji", **self.userinfo})

    async def keys(self, _: Request) -> Response:
        return JSONResponse(KeySet([signing_key()]).as_dict(private=False))


@asynccontextmanager
async def run_console_with(
    service_env: ServiceEnv, issuer: TestIssuer
) -> AsyncIterator[tuple[ConsoleServer, httpx.AsyncClient]]:
    """Run a console that uses this issuer, with a browser."""
    async with served(issuer.app()) as issuer.url:
        settings = ConsoleSettings(url="", oidc=OidcSettings(issuer.url, "console", "a secret"))
        async with run_console(service_env, settings) as console, console.browser() as browser:
            yield console, browser


@pytest.mark.parametrize(
    ("issuer", "code"),
    [
        (TestIssuer(expires_in=-15), "TOKEN_EXPIRED"),
        (TestIssuer(expires_in=-60), "TOKEN_EXPIRED"),
        (TestIssuer(claims={"exp": None}), "TOKEN_INVALID"),
        (TestIssuer(claims={"aud": "another"}), "TOKEN_INVALID"),
        (TestIssuer(claims={"aud": "another", "azp": "console"}), "TOKEN_INVALID"),
        (TestIssuer(claims={"iss": "https://evil.example"}), "TOKEN_INVALID"),
        (TestIssuer(claims={"nonce": "another"}), "TOKEN_INVALID"),
        (TestIssuer(claims={"nonce": None}), "TOKEN_INVALID"),
        (TestIssuer(claims={"sub": None}), "TOKEN_INVALID"),
        (TestIssuer(claims={"customer_id": None}), "ACCOUNT_UNKNOWN"),
        (TestIssuer(claims={"customer_id": "not an id"}), "ACCOUNT_UNKNOWN"),
        (TestIssuer(claims={"customer_id": ["C-77"]}), "ACCOUNT_UNKNOWN"),
        (
            TestIssuer(claims={"customer_id": None}, userinfo={"sub": "olga", "customer_id": "C-78"}),
            "TOKEN_INVALID",
        ),
        (
            TestIssuer(claims={"customer_id": None}, overrides={"/userinfo": Response(status_code=500)}),
            "ISSUER_UNREACHABLE",
        ),
        (
            TestIssuer(claims={"customer_id": None}, overrides={"/userinfo": Response("signed.jwt.x")}),
            "ISSUER_ANSWER_INVALID",
        ),
        (TestIssuer(overrides={"/keys": JSONResponse({"keys": []})}), "TOKEN_INVALID"),
        (TestIssuer(overrides={"/keys": Response(status_code=404)}), "ISSUER_ANSWER_INVALID"),
        (TestIssuer(overrides={"/token": Response(status_code=503)}), "ISSUER_UNREACHABLE"),
        (TestIssuer(overrides={"/token": Response("<html>")}), "ISSUER_ANSWER_INVALID"),
        (TestIssuer(overrides={"/token": JSONResponse([])}), "ISSUER_ANSWER_INVALID"),
        (TestIssuer(overrides={"/token": JSONResponse({"access_token": "a"})}), "ISSUER_ANSWER_INVALID"),
        (
            TestIssuer(overrides={"/token": JSONResponse({"error": "invalid_client"}, 401)}),
            "CLIENT_REJECTED",
        ),
        (
            TestIssuer(overrides={"/token": JSONResponse({"error": "invalid_grant"}, 400)}),
            "AUTHORIZATION_CODE_REJECTED",
        ),
        (
            TestIssuer(overrides={"/token": JSONResponse({"error": "of its own"}, 400)}),
            "ISSUER_ANSWER_INVALID",
        ),
        (TestIssuer(redirected_with={"error": "access_denied"}), "AUTHORIZATION_REFUSED"),
        (TestIssuer(redirected_with={"code": "a", "state": "another"}), "SIGN_IN_NOT_STARTED"),
        (TestIssuer(offered={"issuer": "https://another.example"}), "ISSUER_ANSWER_INVALID"),
        (
            TestIssuer(overrides={"/.well-known/openid-configuration": Response("<html>")}),
            "ISSUER_ANSWER_INVALID",
        ),
        (
            TestIssuer(overrides={"/.well-known/openid-configuration": JSONResponse([])}),
            "ISSUER_ANSWER_INVALID",
        ),
        (
            TestIssuer(overrides={"/.well-known/openid-configuration": Response(status_code=502)}),
            "ISSUER_UNREACHABLE",
        ),
        (TestIssuer(offered={"authorization_endpoint": None}), "ISSUER_ANSWER_INVALID"),
        (TestIssuer(offered={"token_endpoint": "http://127.0.0.1:1/"}), "ISSUER_UNREACHABLE"),
    ],
)
async def test_invalid_issuer_response_has_code_and_no_session(
    service_env: ServiceEnv, issuer: TestIssuer, code: str
) -> None:
    async with run_console_with(service_env, issuer) as (console, browser):
        answer = await browser.get("/sign-in/issuer?next=/subscriptions")
        assert answer.status_code in (403, 503)
        assert f"{code} · {answer.headers['x-request-id']}" in answer.text
        assert (await browser.get("/subscriptions")).url.path == "/sign-in"
    [family] = [
        each for each in console.metrics.registry.collect() if each.name == "worksub_sign_in_refusals"
    ]
    assert {sample.labels["code"]: sample.value for sample in family.samples if sample.value} == {code: 1}


@pytest.mark.parametrize(
    ("issuer", "sees"),
    [
        (TestIssuer(expires_in=-1), "C-77</span>"),
        (TestIssuer(claims={"aud": ["another", "console"], "azp": "console"}), "C-77</span>"),
        (TestIssuer(claims={"customer_id": None}, userinfo={"customer_id": "C-78"}), "C-78</span>"),
        (
            TestIssuer(claims={"customer_id": None}, userinfo={"groups": "worksub-operators"}),
            "All subscriptions",
        ),
        (TestIssuer(overrides={"/userinfo": Response(status_code=500)}), "C-77</span>"),
        (TestIssuer(claims={"groups": {"worksub-operators": {"id": 1}}}), "All subscriptions"),
        (
            TestIssuer(claims={"customer_id": None, "groups": []}, userinfo={"customer_id": "C-79"}),
            "C-79</span>",
        ),
        (TestIssuer(claims={"groups": 7}), "C-77</span>"),
        (TestIssuer(claims={"groups": True}), "C-77</span>"),
        (TestIssuer(claims={"name": "a\0b"}), "C-77</span>"),
    ],
    ids=[
        "within the leeway",
        "one of two audiences",
        "by userinfo",
        "operator by userinfo",
        "without userinfo",
        "operator by an object of groups",
        "by userinfo, while the ID token has other groups",
        "groups are a number",
        "groups are a boolean",
        "null character in the name",
    ],
)
async def test_valid_issuer_response_signs_in(service_env: ServiceEnv, issuer: TestIssuer, sees: str) -> None:
    async with run_console_with(service_env, issuer) as (_, browser):
        assert sees in (await browser.get("/sign-in/issuer")).text


@pytest.mark.parametrize(
    ("offered", "prompt"),
    [
        ({}, "select_account"),
        ({"prompt_values_supported": ["none", "login", "select_account"]}, "select_account"),
        ({"prompt_values_supported": ["none", "login"]}, "login"),
    ],
)
async def test_prompt_is_supported_by_the_issuer(
    service_env: ServiceEnv, offered: dict[str, Any], prompt: str
) -> None:
    issuer = TestIssuer(offered=offered)
    async with run_console_with(service_env, issuer) as (_, browser):
        await browser.get("/sign-in/issuer")
        await browser.get("/sign-in/issuer?choose=1")
    assert [query.get("prompt") for query in issuer.authorization_queries] == [None, prompt]


async def test_pending_sign_in_is_not_stored_in_the_database(service_env: ServiceEnv) -> None:
    async with run_console_with(service_env, TestIssuer()) as (_, browser):
        browser.follow_redirects = False
        before = await service_env.owner.fetchval("SELECT count(*) FROM console_sessions")
        for _ in range(3):
            assert (await browser.get("/sign-in/issuer")).status_code == 302
        assert await service_env.owner.fetchval("SELECT count(*) FROM console_sessions") == before


@pytest.mark.parametrize(
    "cookie",
    ["", "x", "gAAAAA==", encrypt({"next": "/"}, "another secret")],
    ids=["nothing", "a letter", "too short", "another secret"],
)
async def test_forged_sign_in_cookie_starts_no_session(service_env: ServiceEnv, cookie: str) -> None:
    async with run_console_with(service_env, TestIssuer()) as (_, browser):
        browser.cookies.set("signing-in", cookie)
        answer = await browser.get("/sign-in/callback?code=a&state=b")
        assert answer.status_code == 403
        assert "SIGN_IN_NOT_STARTED" in answer.text


async def test_long_return_address_fits_into_the_cookie(service_env: ServiceEnv) -> None:
    async with run_console_with(service_env, TestIssuer()) as (_, browser):
        browser.follow_redirects = False
        for length in (900, 5000):
            answer = await browser.get(f"/sign-in/issuer?next=/subscriptions?{'x' * length}")
            [cookie] = [each for each in answer.headers.get_list("set-cookie") if "signing-in" in each]
            assert len(cookie) < 4096


DISCOVERY = "/.well-known/openid-configuration"


async def test_anonymous_flood_does_not_reach_the_issuer(service_env: ServiceEnv) -> None:
    issuer = TestIssuer()
    async with run_console_with(service_env, issuer) as (_, browser):
        browser.follow_redirects = False
        answers = await gather_all(browser.get("/sign-in/issuer") for _ in range(40))
        assert {answer.status_code for answer in answers} == {302}
        states = {parse_qs(answer.headers["location"].partition("?")[2])["state"][0] for answer in answers}
        assert len(states) == 40
        browser.follow_redirects = True
        assert "C-77</span>" in (await browser.get("/sign-in/issuer")).text
    assert issuer.requests[DISCOVERY] == 1


async def test_failing_issuer_is_not_queried_per_visitor(service_env: ServiceEnv) -> None:
    issuer = TestIssuer(overrides={DISCOVERY: Response(status_code=502)})
    async with run_console_with(service_env, issuer) as (_, browser):
        answers = await gather_all(browser.get("/sign-in/issuer") for _ in range(20))
    assert all("ISSUER_UNREACHABLE" in answer.text for answer in answers)
    assert issuer.requests[DISCOVERY] < len(answers)


async def test_stale_discovery_document_is_fetched_again() -> None:
    issuer = TestIssuer()
    async with served(issuer.app()) as issuer.url:
        long_kept, never_kept = Discovery(issuer.url), Discovery(issuer.url, cache_seconds=0)
        for discovery, requests in ((long_kept, 1), (never_kept, 2)):
            issuer.requests.clear()
            issuer.offered = {"token_endpoint": "https://first.example"}
            await discovery.read()
            issuer.offered = {"token_endpoint": "https://second.example"}
            await discovery.read()
            assert issuer.requests[DISCOVERY] == requests
        assert (await long_kept.read())["token_endpoint"] == "https://first.example"
        assert (await never_kept.read())["token_endpoint"] == "https://second.example"
        assert (await long_kept.read(refresh=True))["token_endpoint"] == "https://second.example"


async def test_sign_in_recovers_with_the_issuer() -> None:
    issuer = TestIssuer(overrides={DISCOVERY: Response(status_code=502)})
    async with served(issuer.app()) as issuer.url:
        discovery = Discovery(issuer.url, failure_cache_seconds=0)
        with pytest.raises(httpx2.HTTPStatusError):
            await discovery.read()
        issuer.overrides.clear()
        assert (await discovery.read())["issuer"] == issuer.url


@pytest.mark.parametrize(
    ("language", "expected"), [("en", "Too many sign-ins"), ("ko", "로그인 시도가 너무")]
)
async def test_repeated_callback_does_not_flood_the_issuer(
    service_env: ServiceEnv, language: str, expected: str
) -> None:
    """One pending sign-in cookie allows any number of callbacks with invented codes."""
    issuer = TestIssuer(overrides={"/token": JSONResponse({"error": "invalid_grant"}, 400)})
    async with run_console_with(service_env, issuer) as (console, browser):
        browser.follow_redirects = False
        begun = await browser.get("/sign-in/issuer")
        [state] = parse_qs(begun.headers["location"].partition("?")[2])["state"]
        cookie = f"signing-in={browser.cookies['signing-in']}"
        async with console.browser(language) as flooding:
            answers = await gather_all(
                flooding.get(f"/sign-in/callback?code={code}&state={state}", headers={"cookie": cookie})
                for code in range(70)
            )
    assert Counter(answer.status_code for answer in answers) == {403: 60, 429: 10}
    assert issuer.requests["/token"] == 60
    [refused, *_] = [answer for answer in answers if answer.status_code == 429]
    assert expected in refused.text
    assert "TOO_MANY_SIGN_INS" in refused.text


@pytest.mark.parametrize(
    ("claims", "offered"),
    [
        ({"email": "Minji@ACME.example"}, "Minji@acme.example"),
        ({"email": "minji@acme.example", "email_verified": True}, "minji@acme.example"),
        ({"email": "minji@acme.example", "email_verified": False}, ""),
        ({"email": "minji@acme.example", "email_verified": "false"}, ""),
        ({"email": "not an address"}, ""),
        ({}, ""),
    ],
)
async def test_r08_request_form_offers_verified_email_of_sign_in(
    service_env: ServiceEnv, claims: dict[str, Any], offered: str
) -> None:
    async with run_console_with(service_env, TestIssuer(claims=claims)) as (_, browser):
        page = await browser.get("/sign-in/issuer?next=/request")
        page = await submit(browser, page, "/product", plan="basic")
        page = await submit(browser, page, "/terms", agreed=["service:2026-01", "privacy:2026-01"])
        assert f'name="contact_email" type="email" value="{offered}"' in page.text
