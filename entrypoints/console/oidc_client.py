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
from starlette.requests import Request
from starlette.responses import Response

from entrypoints.console.oidc_discovery import TIMEOUT_SECONDS, Discovery, tls_context
from entrypoints.console.settings import OidcSettings
from entrypoints.http.client_address import client_address
from entrypoints.http.rate_limits import RateLimit
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
    """Value of the `prompt` parameter: show the account chooser, or require the password again."""

    SELECT_ACCOUNT = "select_account"
    LOGIN = "login"


class SignInFailedError(Exception):
    """Sign-in with the issuer failed. `cause` is the library's error; its message may contain tokens."""

    def __init__(self, code: SignInRefusal, cause: Exception | None, issuer_error: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.cause = cause
        self.issuer_error = issuer_error if issuer_error in _ISSUER_ERRORS else None


@dataclass(frozen=True)
class Identity:
    """Claims of the signed-in user. `id_token` is the hint for RP-initiated logout."""

    claims: Mapping[str, Any]
    id_token: str


class OidcClient:
    """OpenID Connect client of the console. Each sign-in fetches the issuer's keys, because keys rotate."""

    def __init__(self, settings: OidcSettings, discovery: Discovery | None = None) -> None:
        self._settings = settings
        self._discovery = discovery or Discovery(settings.issuer)
        self._exchanges = RateLimit(_EXCHANGES)

    async def begin(self, request: Request, callback_url: str, prompt: Prompt | None) -> Response:
        """Redirect to the issuer; state, nonce and PKCE verifier go into `request.session`."""
        with _classified():
            metadata = await self._metadata()
            parameters = {"prompt": _supported(prompt, metadata)} if prompt else {}
            client = self._client(metadata)
            response: Response = await client.authorize_redirect(request, callback_url, **parameters)
        return response

    async def finish(self, request: Request) -> Identity:
        """Exchange the authorization code for tokens, and return the claims of the user.

        An unauthenticated client can cause these requests to the issuer, so a rate limit per client address
        applies.
        """
        if error := request.query_params.get("error"):
            raise SignInFailedError(SignInRefusal.AUTHORIZATION_REFUSED, None, error)
        if not await self._exchanges.hit(client_address(request.scope)):
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
        """Return the issuer's logout URL, or None if the issuer has no `end_session_endpoint`."""
        with _classified():
            # Bypass the cache: a browser redirected to an unavailable issuer would not return.
            metadata = await self._metadata(refresh=True)
            if not metadata.get("end_session_endpoint"):
                return None
            created = await self._client(metadata).create_logout_url(
                post_logout_redirect_uri=return_url,
                id_token_hint=id_token,
                client_id=self._settings.client_id,
            )
            url: str = created["url"]
        return url if urlsplit(url).scheme in ("http", "https") else None

    async def _metadata(self, *, refresh: bool = False) -> Mapping[str, Any]:
        metadata = await self._discovery.read(refresh=refresh)
        if str(metadata["issuer"]).rstrip("/") != self._settings.issuer:
            raise SignInFailedError(SignInRefusal.ISSUER_ANSWER_INVALID, None)
        return metadata

    def _client(self, metadata: Mapping[str, Any]) -> Any:
        """Return a client for one sign-in or sign-out, which uses the given discovery document."""
        registry = OAuth()
        registry.register(
            "issuer",
            client_id=self._settings.client_id,
            client_secret=self._settings.client_secret,
            client_kwargs={
                "scope": self._settings.scope,
                "code_challenge_method": "S256",
                "timeout": TIMEOUT_SECONDS,
                "verify": tls_context(),
            },
        )
        client: Any = registry.create_client("issuer")  # type: ignore[no-untyped-call]
        client.server_metadata.update(metadata)
        return client

    def _is_decided_by(self, claims: Mapping[str, Any]) -> bool:
        return self._settings.customer_claim in claims or self._settings.is_operator(claims)


def _supported(prompt: Prompt, metadata: Mapping[str, Any]) -> Prompt:
    """Return `prompt`, or LOGIN if the issuer lists its supported prompts without this one."""
    offered = metadata.get("prompt_values_supported")
    return prompt if offered is None or prompt in offered else Prompt.LOGIN


@contextmanager
def _classified() -> Iterator[None]:
    """Convert every error of a request to the issuer to `SignInFailedError` with a code.

    The default code is ISSUER_ANSWER_INVALID, because a malformed response can raise any error in a library.
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
