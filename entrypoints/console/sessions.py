"""Server-side sessions, found by the hash of a cookie."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cryptography.fernet import Fernet

from adapters.postgres.pool import Pool

IDLE_MINUTES = 30
LONGEST_HOURS = 12


class SessionKind(StrEnum):
    """For what a session is good: it opens nothing of another realm."""

    CONSOLE = "CONSOLE"
    WORKS_ADMIN = "WORKS_ADMIN"


@dataclass
class Session:
    """`customer_id` is None for an operator; `key` encrypts what the browser keeps for this session.

    `document` is what the sign-out needs: the ID token of the issuer.
    """

    realm: SessionKind
    customer_id: str | None
    subscription_id: str | None
    name: str
    key: bytes
    document: dict[str, Any] = field(default_factory=dict)
    told: str | None = None


def new_token() -> str:
    return secrets.token_urlsafe(32)


class Sessions:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, token: str, realm: SessionKind) -> Session | None:
        """The living session of this token, which is seen by that."""
        row = await self._pool.fetchrow(
            f"""
            SELECT realm, customer_id, subscription_id, name, key, document, told,
                   seen_at < clock_timestamp() - interval '1 minute' AS unseen
              FROM console_sessions WHERE token_hash = $1 AND realm = $2 AND {_LIVING}
            """,  # noqa: S608 - the part is _LIVING
            _hashed(token),
            realm,
        )
        if row is None:
            return None
        if row["unseen"]:
            await self._pool.execute(
                "UPDATE console_sessions SET seen_at = clock_timestamp() WHERE token_hash = $1",
                _hashed(token),
            )
        return Session(
            realm=SessionKind(row["realm"]),
            customer_id=row["customer_id"],
            subscription_id=row["subscription_id"],
            name=row["name"],
            key=row["key"],
            document=json.loads(row["document"]),
            told=row["told"],
        )

    async def begin(
        self,
        realm: SessionKind,
        *,
        customer_id: str | None = None,
        subscription_id: str | None = None,
        name: str = "",
        document: Mapping[str, Any] | None = None,
    ) -> str:
        """The token of a new session. Those that have ended are forgotten on the way."""
        token = new_token()
        await self._pool.execute(
            f"DELETE FROM console_sessions WHERE NOT ({_LIVING})"  # noqa: S608 - as above
        )
        await self._pool.execute(
            """
            INSERT INTO console_sessions
                (token_hash, realm, customer_id, subscription_id, name, key, document)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """,
            _hashed(token),
            realm,
            customer_id,
            subscription_id,
            name,
            Fernet.generate_key(),
            json.dumps(dict(document or {})),
        )
        return token

    async def end(self, token: str) -> None:
        await self._pool.execute("DELETE FROM console_sessions WHERE token_hash = $1", _hashed(token))

    async def tell(self, token: str, what: str | None) -> None:
        """What the next page shall say, once; None when it has been said."""
        await self._pool.execute(
            "UPDATE console_sessions SET told = $2 WHERE token_hash = $1", _hashed(token), what
        )


_LIVING = f"""
    seen_at > clock_timestamp() - interval '{IDLE_MINUTES} minutes'
    AND created_at > clock_timestamp() - interval '{LONGEST_HOURS} hours'
"""


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
