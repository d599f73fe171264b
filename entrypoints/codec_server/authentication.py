"""Authentication: OpenID Connect access tokens and operator tokens."""

import asyncio
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jwt

from entrypoints.codec_server.operator_tokens import digest_of
from entrypoints.codec_server.rate_limits import TokenBucket
from entrypoints.http.sign_in_refusals import CLOCK_LEEWAY_SECONDS, SignInRefusal

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_NEEDED = ("exp", "iss", "aud", "sub")
_PATIENCE_SECONDS = 5.0
_FAILURE_KEPT_SECONDS = 5.0
# Unknown key ids cause fetches of the issuer's keys: five at once, then one every ten seconds.
_REFETCHES_AT_ONCE, _REFETCHES_PER_SECOND = 5, 0.1


class NotAllowedError(Exception):
    """The caller is refused. Neither the message nor `cause` quotes a token."""

    def __init__(self, code: SignInRefusal, message: str, cause: Exception | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.cause = cause


class IssuerUnavailableError(Exception):
    """The keys that sign-ins are checked with cannot be had now."""


class Authenticator(Protocol):
    async def named(self, authorization: str | None) -> str:
        """Return the caller's name. Raises `NotAllowedError`, `IssuerUnavailableError`."""


class AllowAll:
    """For a server that only this machine reaches, as `worksub dev` runs it."""

    async def named(self, authorization: str | None) -> str:
        return "this machine"


class TokenAuthenticator:
    """Operators, by the SHA-256 of their tokens: those are 256 random bits, which nobody guesses."""

    def __init__(self, names_by_digest: Mapping[str, str]) -> None:
        self._names = dict(names_by_digest)

    async def named(self, authorization: str | None) -> str:
        # Looked up by the digest, which tells who takes the time of it nothing of a token.
        name = self._names.get(digest_of(_bearer(authorization)))
        if name is None:
            raise NotAllowedError(SignInRefusal.CREDENTIALS_UNKNOWN, "The token is unknown.")
        return f"token {name}"


@dataclass(frozen=True)
class Issuer:
    """An OpenID Connect provider, and for whom its tokens must be meant."""

    name: str
    audience: str
    keys_url: str


class _IssuerKeys(jwt.PyJWKClient):
    """The issuer's keys. A token with an unknown key id causes a fetch at once, because keys rotate.

    Fetches are rate limited, because a caller can invent key ids. Without this limit, and with the
    cooldown of PyJWKClient instead, a rotated key would be refused until the cooldown is over.
    Without keys every request would cause a fetch, so a failure is remembered for a few seconds.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url, timeout=_PATIENCE_SECONDS, cooldown_duration=0)
        self._refetches = TokenBucket(_REFETCHES_AT_ONCE, _REFETCHES_PER_SECOND)
        self._fetching = threading.Lock()
        self._failed_until = 0.0

    def get_jwk_set(self, refresh: bool = False) -> jwt.PyJWKSet:
        if refresh:
            refresh = self._refetches.take("")
        return super().get_jwk_set(refresh)

    def fetch_data(self) -> Any:
        with self._fetching:
            if time.monotonic() < self._failed_until:
                raise jwt.PyJWKClientConnectionError("The last request failed a moment ago.")
            try:
                return super().fetch_data()
            except Exception:
                self._failed_until = time.monotonic() + _FAILURE_KEPT_SECONDS
                raise


class OidcAuthenticator:
    """People, by the access token that the Web UI has from their sign-in and passes on."""

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
                options={"require": list(_NEEDED)},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise IssuerUnavailableError(f"{self._issuer.keys_url} does not answer.") from error
        except jwt.ExpiredSignatureError as error:
            raise NotAllowedError(SignInRefusal.TOKEN_EXPIRED, "The sign-in has expired.", error) from None
        except (jwt.PyJWTError, ValueError) as error:
            message = f"The sign-in does not count: {type(error).__name__}."
            raise NotAllowedError(SignInRefusal.TOKEN_INVALID, message, error) from None
        return f"subject {claims['sub']}"


class CombinedAuthenticator:
    """A sign-in is a JWT, of three parts; a token has one."""

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
