"""API keys: create, authenticate, rotate, revoke. The database stores only a SHA-256 API key hash."""

import hmac
import re
import secrets
import string
from contextlib import suppress
from datetime import timedelta

from asyncpg import ReadOnlySQLTransactionError

from adapters.postgres.pool import Pool
from adapters.tokens import new_token, token_hash
from starter.caller import Caller
from subscription.business_calendar import Instant
from subscription.model import Frozen

_ALPHABET = string.ascii_lowercase + string.digits
_TOKEN = re.compile(r"wsk_([a-z0-9]{10})_[A-Za-z0-9_-]{43}")
_NO_HASH = bytes(32)


class ApiKey(Frozen):
    """Public data of an API key. `customer_id` is None for operators, `expires_at` is None without expiry.

    `last_used_at` is accurate to one minute.
    """

    prefix: str
    customer_id: str | None
    label: str
    created_at: Instant
    expires_at: Instant | None
    last_used_at: Instant | None

    @property
    def caller(self) -> Caller:
        return Caller(self.customer_id)


class IssuedKey(Frozen):
    """A newly created key. Its `token` is not stored and cannot be shown again."""

    key: ApiKey
    token: str


class ApiKeyNotFoundError(Exception):
    """No valid key has this prefix."""


class ApiKeyStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def create(self, customer_id: str | None, label: str, lasts: timedelta | None = None) -> IssuedKey:
        """Create a key for one customer, or for operators; `lasts` is its lifetime, unlimited if None."""
        prefix = "".join(secrets.choice(_ALPHABET) for _ in range(10))
        token = f"wsk_{prefix}_{new_token()}"
        row = await self._pool.fetchrow(
            """
            INSERT INTO api_keys (prefix, hash, customer_id, label, expires_at)
            VALUES ($1, $2, $3, $4, clock_timestamp() + $5::interval) RETURNING *
            """,
            prefix,
            token_hash(token),
            customer_id,
            label,
            lasts,
        )
        assert row is not None
        return IssuedKey(key=ApiKey.model_validate(dict(row)), token=token)

    async def list(self, customer_id: str | None = None) -> list[ApiKey]:
        """Return all keys, or the keys of one customer, newest first."""
        rows = await self._pool.fetch(
            """
            SELECT * FROM api_keys WHERE $1::text IS NULL OR customer_id = $1
             ORDER BY created_at DESC, prefix
            """,
            customer_id,
        )
        return [ApiKey.model_validate(dict(row)) for row in rows]

    async def rotate(self, prefix: str, overlap: timedelta) -> IssuedKey:
        """Create a key for the same caller with the same lifetime; the old key expires after `overlap`.

        Raises `ApiKeyNotFoundError`.
        """
        lasts: timedelta | None = await self._pool.fetchval(
            "SELECT expires_at - created_at FROM api_keys WHERE prefix = $1", prefix
        )
        old = await self._end(prefix, overlap)
        return await self.create(old.customer_id, old.label, lasts)

    async def revoke(self, prefix: str) -> ApiKey:
        """Revoke a key with immediate effect. Raises `ApiKeyNotFoundError`."""
        return await self._end(prefix, timedelta())

    async def opening(self, token: str) -> ApiKey | None:
        """Authenticate a token: return its key, or None if the token is not valid.

        The API key hash is compared in constant time, also for an unknown prefix.
        """
        match = _TOKEN.fullmatch(token)
        row = await self._pool.fetchrow(
            """
            SELECT *, last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute' AS stale
              FROM api_keys WHERE prefix = $1 AND (expires_at IS NULL OR expires_at > clock_timestamp())
            """,
            match[1] if match else "",
        )
        if not hmac.compare_digest(row["hash"] if row else _NO_HASH, token_hash(token)) or row is None:
            return None
        if row["stale"]:
            with suppress(ReadOnlySQLTransactionError):  # a standby authenticates, but cannot update the row
                await self._pool.execute(
                    "UPDATE api_keys SET last_used_at = clock_timestamp() WHERE prefix = $1", row["prefix"]
                )
        return ApiKey.model_validate(dict(row))

    async def in_force(self, prefix: str) -> bool:
        """Return whether a key that was authenticated before is still neither revoked nor expired."""
        is_valid: bool = await self._pool.fetchval(
            """
            SELECT EXISTS (SELECT FROM api_keys
                            WHERE prefix = $1 AND (expires_at IS NULL OR expires_at > clock_timestamp()))
            """,
            prefix,
        )
        return is_valid

    async def _end(self, prefix: str, after: timedelta) -> ApiKey:
        row = await self._pool.fetchrow(
            """
            UPDATE api_keys SET expires_at = least(expires_at, clock_timestamp() + $2::interval)
             WHERE prefix = $1 AND (expires_at IS NULL OR expires_at > clock_timestamp()) RETURNING *
            """,
            prefix,
            after,
        )
        if row is None:
            raise ApiKeyNotFoundError
        return ApiKey.model_validate(dict(row))
