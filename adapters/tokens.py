"""Secret tokens, stored only as SHA-256 hashes."""

import hashlib
import secrets


def new_token() -> str:
    """Return a token of 256 random bits."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """Return the SHA-256 hash of a token.

    A slow password hash is not needed: a token has 256 random bits and cannot be guessed.
    """
    return hashlib.sha256(token.encode(errors="replace")).digest()
