"""State of a pending sign-in, stored in an encrypted cookie.

The database stores nothing before the issuer has authenticated the user. Otherwise unauthenticated requests
could fill a table.
"""

import json
from base64 import urlsafe_b64encode
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEPT_SECONDS = 600


def encrypt(state: dict[str, Any], client_secret: str) -> str:
    """Encrypt the state with a key derived from the client secret, which all console processes share."""
    return _cipher(client_secret).encrypt(json.dumps(state).encode()).decode()


def decrypt(cookie: str, client_secret: str) -> dict[str, Any] | None:
    """Return the decrypted state, or None if it is missing, too old, or not encrypted by the console."""
    try:
        state: dict[str, Any] = json.loads(_cipher(client_secret).decrypt(cookie, ttl=KEPT_SECONDS))
    except (InvalidToken, ValueError):
        return None
    return state


def _cipher(client_secret: str) -> Fernet:
    derived = HKDF(SHA256(), length=32, salt=None, info=b"worksub console sign-in state")
    return Fernet(urlsafe_b64encode(derived.derive(client_secret.encode())))
