"""OpenID Connect client of the console: sign-in, claims, RP-initiated logout."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.base_client.errors import MismatchingStateError
from authlib.integrations.starlette_client import OAuth
from joserfc.errors import ExpiredTokenError, JoseError
from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from starlette.requests import Request
from starlette.responses import Response

from entrypoints.console.oidc_discovery import PATIENCE_SECONDS, Discovery
from entrypoints.console.settings import OidcSettings
from entrypoints.http.client_address import client_address
from entrypoints.http.sign_in_refusals import CLOCK_LEEWAY_SECONDS, SignInRefusal

_EXCHANGES = "60/minute"
# The error codes of RFC 6749 and OpenID Connect Core. Callers choose the query, so only these are logged.
_ISSUER_ERRORS = frozenset(
    (
        *("access_denied", "account_selection_required", "consent_required", "interaction_required"),
        *("invalid_client", "invalid_grant", "invalid_request", "invalid_request_object", "invalid_scope"),
        *("login_required", "server_error", "temporarily_unavailable", "unauthorized_client"),
        *("unsupported_grant_type", "unsupported_response_type"),
    )
)


class Prompt(StrEnum):
    """What the issuer asks although the browser is signed in there: the account, or the password again."""

    SELECT_ACCOUNT = "select_account"
    LOGIN = "login"


class SignInFailedError(Exception):
    """The issuer has signed nobody in. `cause` is the library's error; its message may quote tokens."""

    def __init__(self, code: SignInRefusal, cause: Exception | None, issuer_error: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.cause = cause
        self.issuer_error = issuer_error if issuer_error in _ISSUER_ERRORS else None


@dataclass(frozen=True)
class Identity:
    """The claims about the signed-in person; `id_token` is the hint for the logout."""

    claims: Mapping[str, Any]
    id_token: str


class OidcClient:
    """The console at the issuer. Each conversation reads the issuer's keys again, and so its present ones."""

    def __init__(self, settings: OidcSettings, discovery: Discovery | None = None) -> None:
        self._settings = settings
        self._discovery = discovery or Discovery(settings.issuer)
        self._tls = httpx2.create_ssl_context()  # takes longer than all else that a conversation computes
        self._exchanges = parse(_EXCHANGES)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def begin(self, request: Request, callback_url: str, prompt: Prompt | None) -> Response:
        """Redirect to the issuer; state, nonce and PKCE verifier go into `request.session`."""
        with _classified():
            metadata = await self._metadata()
            asked = {"prompt": _supported(prompt, metadata)} if prompt else {}
            client = self._client(metadata)
            response: Response = await client.authorize_redirect(request, callback_url, **asked)
        return response

    async def finish(self, request: Request) -> Identity:
        """Exchange the code for tokens, and return the claims that decide who it is.

        An anonymous visitor causes these requests to the issuer, so they are limited by address.
        """
        if error := request.query_params.get("error"):
            raise SignInFailedError(SignInRefusal.AUTHORIZATION_REFUSED, None, error)
        if not await self._limiter.hit(self._exchanges, client_address(request.scope)):
            raise SignInFailedError(SignInRefusal.TOO_MANY_SIGN_INS, None)
        with _classified():
            metadata = await self._metadata()
            client = self._client(metadata)
            answer = await client.authorize_access_token(
                request,
                leeway=CLOCK_LEEWAY_SECONDS,
                claims_options={
                    "iss": {"essential": True, "values": [metadata["issuer"]]},
                    "aud": {"essential": True, "values": [self._settings.client_id]},
                },
            )
            claims, id_token = answer["userinfo"], answer["id_token"]
            if not self._is_decided_by(claims) and metadata.get("userinfo_endpoint"):
                userinfo = await client.userinfo(token=answer)
                if userinfo["sub"] != claims["sub"]:
                    raise SignInFailedError(SignInRefusal.TOKEN_INVALID, None)
                claims = {**userinfo, **claims}
        return Identity(claims, id_token)

    async def logout_url(self, id_token: str, return_url: str) -> str | None:
        """Return where the browser signs out at the issuer, or None if the issuer offers no such page."""
        with _classified():
            # Read anew: a browser that is sent to an issuer that is down would not come back.
            metadata = await self._metadata(anew=True)
            if not metadata.get("end_session_endpoint"):
                return None
            created = await self._client(metadata).create_logout_url(
                post_logout_redirect_uri=return_url,
                id_token_hint=id_token,
                client_id=self._settings.client_id,
            )
            url: str = created["url"]
        return url if urlsplit(url).scheme in ("http", "https") else None

    async def _metadata(self, *, anew: bool = False) -> Mapping[str, Any]:
        metadata = await self._discovery.read(anew=anew)
        if str(metadata["issuer"]).rstrip("/") != self._settings.issuer:
            raise SignInFailedError(SignInRefusal.ISSUER_ANSWER_INVALID, None)
        return metadata

    def _client(self, metadata: Mapping[str, Any]) -> Any:
        """Return a client for one conversation, which requests no discovery document of its own."""
        registry = OAuth()
        registry.register(
            "issuer",
            client_id=self._settings.client_id,
            client_secret=self._settings.client_secret,
            client_kwargs={
                "scope": self._settings.scope,
                "code_challenge_method": "S256",
                "timeout": PATIENCE_SECONDS,
                "verify": self._tls,
            },
        )
        client: Any = registry.create_client("issuer")  # type: ignore[no-untyped-call]
        client.server_metadata.update(metadata)
        return client

    def _is_decided_by(self, claims: Mapping[str, Any]) -> bool:
        return self._settings.customer_claim in claims or self._settings.is_operator(claims)


def _supported(prompt: Prompt, metadata: Mapping[str, Any]) -> Prompt:
    """Return `prompt`, or LOGIN where the issuer lists its prompts and this one is missing."""
    offered = metadata.get("prompt_values_supported")
    return prompt if offered is None or prompt in offered else Prompt.LOGIN


@contextmanager
def _classified() -> Iterator[None]:
    """Turn every error of the conversation into `SignInFailedError` with a code.

    The default is ISSUER_ANSWER_INVALID: an answer of an unexpected form can raise any error in a library.
    """
    try:
        yield
    except SignInFailedError:
        raise
    except httpx2.HTTPStatusError as error:
        code = (
            SignInRefusal.ISSUER_UNREACHABLE
            if error.response.status_code >= 500
            else SignInRefusal.ISSUER_ANSWER_INVALID
        )
        raise SignInFailedError(code, error) from error
    except httpx2.HTTPError as error:
        raise SignInFailedError(SignInRefusal.ISSUER_UNREACHABLE, error) from error
    except MismatchingStateError as error:
        raise SignInFailedError(SignInRefusal.SIGN_IN_NOT_STARTED, error) from error
    except OAuthError as error:
        raise SignInFailedError(_code_of(error.error), error, error.error) from error
    except ExpiredTokenError as error:
        raise SignInFailedError(SignInRefusal.TOKEN_EXPIRED, error) from error
    except JoseError as error:
        raise SignInFailedError(SignInRefusal.TOKEN_INVALID, error) from error
    except Exception as error:
        raise SignInFailedError(SignInRefusal.ISSUER_ANSWER_INVALID, error) from error


def _code_of(error: str | None) -> SignInRefusal:
    """Classify an error of the token endpoint."""
    if error in ("invalid_client", "unauthorized_client"):
        return SignInRefusal.CLIENT_REJECTED
    if error == "invalid_grant":
        return SignInRefusal.AUTHORIZATION_CODE_REJECTED
    return SignInRefusal.ISSUER_ANSWER_INVALID
