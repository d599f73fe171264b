"""State of a pending sign-in, in an encrypted cookie.

The database stores nothing for a browser before the issuer has signed it in. Otherwise anonymous requests
could fill a table.
"""

import json
from base64 import urlsafe_b64encode
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEPT_SECONDS = 600


def sealed(state: dict[str, Any], client_secret: str) -> str:
    """Encrypt the state under a key that each process of the console derives from the client secret."""
    return _cipher(client_secret).encrypt(json.dumps(state).encode()).decode()


def opened(cookie: str, client_secret: str) -> dict[str, Any] | None:
    """Return the state, or None if it is too old, was not encrypted here, or is missing."""
    try:
        state: dict[str, Any] = json.loads(_cipher(client_secret).decrypt(cookie, ttl=KEPT_SECONDS))
    except (InvalidToken, ValueError):
        return None
    return state


def _cipher(client_secret: str) -> Fernet:
    derived = HKDF(SHA256(), length=32, salt=None, info=b"worksub console sign-in state")
    return Fernet(urlsafe_b64encode(derived.derive(client_secret.encode())))
