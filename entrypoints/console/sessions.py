"""Server-side sessions, stored under the SHA-256 hash of the session cookie."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cryptography.fernet import Fernet

from adapters.postgres.pool import Pool
from adapters.tokens import new_token, token_hash

# A session ends after 30 minutes without a request, and after 12 hours in any case.
IDLE_MINUTES = 30
LONGEST_HOURS = 12


class SessionKind(StrEnum):
    """Realm of a session. A session of one realm gives no access to the other."""

    CONSOLE = "CONSOLE"
    WORKS_ADMIN = "WORKS_ADMIN"


class FlashTone(StrEnum):
    """Tone of a flash message. What deletes data or could not be done is NEUTRAL, never green."""

    GOOD = "GOOD"
    NEUTRAL = "NEUTRAL"


@dataclass(frozen=True)
class Flash:
    """Message about a completed action, which the next page shows once."""

    text: str
    tone: FlashTone = FlashTone.GOOD


@dataclass
class Session:
    """Session of a user. `customer_id` is None for an operator; `key` encrypts the cookies of request drafts.

    `document` has the ID token of the issuer, which RP-initiated logout needs, and the user's email address.
    """

    realm: SessionKind
    customer_id: str | None
    subscription_id: str | None
    name: str
    key: bytes
    document: dict[str, Any] = field(default_factory=dict)
    flash: Flash | None = None

    @property
    def email(self) -> str:
        """Return the email address of the user at the issuer; empty if it is unknown or not verified."""
        return str(self.document.get("email", ""))


class Sessions:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, token: str, realm: SessionKind) -> Session | None:
        """Return the active session of this token, and update the time of its last request."""
        row = await self._pool.fetchrow(
            f"""
            SELECT realm, customer_id, subscription_id, name, key, document, flash_message, flash_tone,
                   seen_at < clock_timestamp() - interval '1 minute' AS unseen
              FROM console_sessions WHERE token_hash = $1 AND realm = $2 AND {_LIVING}
            """,  # noqa: S608 - the part is _LIVING
            token_hash(token),
            realm,
        )
        if row is None:
            return None
        if row["unseen"]:
            await self._pool.execute(
                "UPDATE console_sessions SET seen_at = clock_timestamp() WHERE token_hash = $1",
                token_hash(token),
            )
        return Session(
            realm=SessionKind(row["realm"]),
            customer_id=row["customer_id"],
            subscription_id=row["subscription_id"],
            name=row["name"],
            key=row["key"],
            document=json.loads(row["document"]),
            flash=Flash(row["flash_message"], FlashTone(row["flash_tone"])) if row["flash_message"] else None,
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
        """Create a session and return its token. Expired sessions are deleted at the same time."""
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
            token_hash(token),
            realm,
            customer_id,
            subscription_id,
            name,
            Fernet.generate_key(),
            json.dumps(dict(document or {})),
        )
        return token

    async def end(self, token: str) -> None:
        await self._pool.execute("DELETE FROM console_sessions WHERE token_hash = $1", token_hash(token))

    async def set_flash(self, token: str, flash: Flash | None) -> None:
        """Store the flash message that the next page shows once; None deletes it."""
        await self._pool.execute(
            "UPDATE console_sessions SET flash_message = $2, flash_tone = $3 WHERE token_hash = $1",
            token_hash(token),
            flash.text if flash else None,
            flash.tone if flash else None,
        )


_LIVING = f"""
    seen_at > clock_timestamp() - interval '{IDLE_MINUTES} minutes'
    AND created_at > clock_timestamp() - interval '{LONGEST_HOURS} hours'
"""
