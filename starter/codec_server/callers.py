"""Who asks the codec server: people by their sign-in at the Web UI, operators by a token of their own."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import jwt

from starter.codec_server.tokens import digest_of

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_NEEDED = ("exp", "iss", "aud", "sub")
_CLOCKS_MAY_DIFFER = 30
_PATIENCE_SECONDS = 5.0


class NotAllowedError(Exception):
    """Nobody who may ask; the message says why, without what was shown."""


class IssuerSilentError(Exception):
    """The keys that sign-ins are checked with cannot be had now."""


class Callers(Protocol):
    async def named(self, authorization: str | None) -> str:
        """Who asks, by the request's Authorization header. Raises `NotAllowedError`, `IssuerSilentError`."""


class AnybodyHere:
    """For a server that only this machine reaches, as `worksub dev` runs it."""

    async def named(self, authorization: str | None) -> str:
        return "this machine"


class TokenHolders:
    """Operators, by the SHA-256 of their tokens: those are 256 random bits, which nobody guesses."""

    def __init__(self, names_by_digest: Mapping[str, str]) -> None:
        self._names = dict(names_by_digest)

    async def named(self, authorization: str | None) -> str:
        # Looked up by the digest, which tells who takes the time of it nothing of a token.
        name = self._names.get(digest_of(_bearer(authorization)))
        if name is None:
            raise NotAllowedError("The token is unknown.")
        return f"token {name}"


@dataclass(frozen=True)
class Issuer:
    """An OpenID Connect provider, and for whom its tokens must be meant."""

    name: str
    audience: str
    keys_url: str


class SignedIn:
    """People, by the access token that the Web UI has from their sign-in and passes on."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._keys = jwt.PyJWKClient(issuer.keys_url, timeout=int(_PATIENCE_SECONDS))

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
                leeway=_CLOCKS_MAY_DIFFER,
                options={"require": list(_NEEDED)},
            )
        except jwt.PyJWKClientConnectionError:
            raise IssuerSilentError(f"{self._issuer.keys_url} does not answer.") from None
        except (jwt.PyJWTError, ValueError) as error:
            raise NotAllowedError(f"The sign-in does not count: {type(error).__name__}.") from None
        return f"subject {claims['sub']}"


class EitherWay:
    """A sign-in is a JWT, of three parts; a token has one."""

    def __init__(self, tokens: TokenHolders, signed_in: SignedIn) -> None:
        self._tokens, self._signed_in = tokens, signed_in

    async def named(self, authorization: str | None) -> str:
        is_jwt = _bearer(authorization).count(".") == 2
        return await (self._signed_in if is_jwt else self._tokens).named(authorization)


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAllowedError("The request has no token: Authorization: Bearer …")
    return token.strip()
