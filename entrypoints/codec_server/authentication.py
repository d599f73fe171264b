"""Authentication: OpenID Connect access tokens and operator tokens."""

import asyncio
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jwt
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from adapters.tokens import token_hash
from entrypoints.http.sign_in_refusals import CLOCK_LEEWAY_SECONDS, SignInRefusal

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_REQUIRED_CLAIMS = ("exp", "iss", "aud", "sub")
_TIMEOUT_SECONDS = 5.0
_FAILURE_CACHE_SECONDS = 5.0
_REFETCHES = parse("6/minute")
"""Limit of the fetches of the issuer's keys that tokens with an unknown key ID cause."""


class NotAllowedError(Exception):
    """Authentication failed. Neither the message nor `cause` contains the token."""

    def __init__(self, code: SignInRefusal, message: str, cause: Exception | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.cause = cause


class IssuerUnavailableError(Exception):
    """The issuer's public keys, with which tokens are verified, cannot be fetched."""


class Authenticator(Protocol):
    async def named(self, authorization: str | None) -> str:
        """Return the caller's name. Raises `NotAllowedError`, `IssuerUnavailableError`."""


class AllowAll:
    """No authentication: for a server that listens on localhost only, as in `worksub dev`."""

    async def named(self, authorization: str | None) -> str:
        return "this machine"


class TokenAuthenticator:
    """Authenticate operators by the SHA-256 hashes of their tokens."""

    def __init__(self, names_by_hash: Mapping[str, str]) -> None:
        self._names = dict(names_by_hash)

    async def named(self, authorization: str | None) -> str:
        # The lookup uses the hash, so its duration reveals nothing about a token (timing attack).
        name = self._names.get(token_hash(_bearer(authorization)).hex())
        if name is None:
            raise NotAllowedError(SignInRefusal.CREDENTIALS_UNKNOWN, "The token is unknown.")
        return f"token {name}"


@dataclass(frozen=True)
class Issuer:
    """OpenID Connect provider, and the audience that its tokens must have."""

    name: str
    audience: str
    keys_url: str


class _IssuerKeys(jwt.PyJWKClient):
    """The issuer's keys (JWKS). An unknown key ID in a token causes an immediate fetch, because keys rotate.

    Fetches are rate limited, because a caller can invent key IDs. The cooldown of `PyJWKClient` would refuse
    a rotated key until the cooldown ends. A failed fetch is cached for five seconds; otherwise every request
    would cause a fetch during an outage of the issuer.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url, timeout=_TIMEOUT_SECONDS, cooldown_duration=0)
        self._refetches = MovingWindowRateLimiter(MemoryStorage())
        self._fetching = threading.Lock()
        self._failed_until = 0.0

    def get_jwk_set(self, refresh: bool = False) -> jwt.PyJWKSet:
        if refresh:
            refresh = self._refetches.hit(_REFETCHES)
        return super().get_jwk_set(refresh)

    def fetch_data(self) -> Any:
        with self._fetching:
            if time.monotonic() < self._failed_until:
                raise jwt.PyJWKClientConnectionError("The last request failed a moment ago.")
            try:
                return super().fetch_data()
            except Exception:
                self._failed_until = time.monotonic() + _FAILURE_CACHE_SECONDS
                raise


class OidcAuthenticator:
    """Authenticate users by the access token that the Temporal Web UI forwards from their sign-in."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._keys = _IssuerKeys(issuer.keys_url)

    async def named(self, authorization: str | None) -> str:
        token = _bearer(authorization)
        try:
            key = await asyncio.to_thread(self._keys.get_signing_key_from_jwt, token)
            claims = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=self._issuer.audience,
                issuer=self._issuer.name,
                leeway=CLOCK_LEEWAY_SECONDS,
                options={"require": list(_REQUIRED_CLAIMS)},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise IssuerUnavailableError(f"{self._issuer.keys_url} does not answer.") from error
        except jwt.ExpiredSignatureError as error:
            raise NotAllowedError(
                SignInRefusal.TOKEN_EXPIRED, "The access token has expired.", error
            ) from None
        except (jwt.PyJWTError, ValueError) as error:
            message = f"The access token is invalid: {type(error).__name__}."
            raise NotAllowedError(SignInRefusal.TOKEN_INVALID, message, error) from None
        return f"subject {claims['sub']}"


class CombinedAuthenticator:
    """Accept both kinds of token: an access token is a JWT of three parts, an operator token has one part."""

    def __init__(self, tokens: TokenAuthenticator, signed_in: OidcAuthenticator) -> None:
        self._tokens, self._signed_in = tokens, signed_in

    async def named(self, authorization: str | None) -> str:
        is_jwt = _bearer(authorization).count(".") == 2
        return await (self._signed_in if is_jwt else self._tokens).named(authorization)


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        message = "The request has no token: Authorization: Bearer …"
        raise NotAllowedError(SignInRefusal.CREDENTIALS_MISSING, message)
    return token.strip()
