"""API keys: create, authenticate, rotate, revoke."""

import hashlib
import hmac
import re
import secrets
import string
from contextlib import suppress
from datetime import timedelta

from asyncpg import ReadOnlySQLTransactionError

from adapters.postgres.pool import Pool
from starter.caller import Caller
from subscription.business_calendar import Instant
from subscription.model import Frozen

_ALPHABET = string.ascii_lowercase + string.digits
_TOKEN = re.compile(r"wsk_([a-z0-9]{10})_[A-Za-z0-9_-]{43}")
_NO_HASH = bytes(32)


class ApiKey(Frozen):
    """What may be shown of a key. `customer_id` is None for the operators'; `ends_at` None for no end.

    `last_used_at` is right to a minute.
    """

    prefix: str
    customer_id: str | None
    label: str
    created_at: Instant
    ends_at: Instant | None
    last_used_at: Instant | None

    @property
    def caller(self) -> Caller:
        return Caller(self.customer_id)


class IssuedKey(Frozen):
    """A key as it is made; its `token` is shown now and never again."""

    key: ApiKey
    token: str


class ApiKeyNotFoundError(Exception):
    """There is no key of that prefix that still opens anything."""


class ApiKeyStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def create(self, customer_id: str | None, label: str, lasts: timedelta | None = None) -> IssuedKey:
        """A key for one customer, or for operators; for ever, or for so long."""
        prefix = "".join(secrets.choice(_ALPHABET) for _ in range(10))
        token = f"wsk_{prefix}_{secrets.token_urlsafe(32)}"
        row = await self._pool.fetchrow(
            """
            INSERT INTO api_keys (prefix, hash, customer_id, label, ends_at)
            VALUES ($1, $2, $3, $4, clock_timestamp() + $5::interval) RETURNING *
            """,
            prefix,
            _hash(token),
            customer_id,
            label,
            lasts,
        )
        assert row is not None
        return IssuedKey(key=ApiKey.model_validate(dict(row)), token=token)

    async def list(self, customer_id: str | None = None) -> list[ApiKey]:
        """All keys, or one customer's, the newest first."""
        rows = await self._pool.fetch(
            """
            SELECT * FROM api_keys WHERE $1::text IS NULL OR customer_id = $1
             ORDER BY created_at DESC, prefix
            """,
            customer_id,
        )
        return [ApiKey.model_validate(dict(row)) for row in rows]

    async def rotate(self, prefix: str, overlap: timedelta) -> IssuedKey:
        """Another key for the same caller, to last as long as the old one, which opens for `overlap` still.

        Raises `ApiKeyNotFoundError`.
        """
        lasts: timedelta | None = await self._pool.fetchval(
            "SELECT ends_at - created_at FROM api_keys WHERE prefix = $1", prefix
        )
        old = await self._end(prefix, overlap)
        return await self.create(old.customer_id, old.label, lasts)

    async def revoke(self, prefix: str) -> ApiKey:
        """The key opens nothing from now on. Raises `ApiKeyNotFoundError`."""
        return await self._end(prefix, timedelta())

    async def opening(self, token: str) -> ApiKey | None:
        """The key that this token is; None if it opens nothing, however much of it was right."""
        read = _TOKEN.fullmatch(token)
        row = await self._pool.fetchrow(
            """
            SELECT *, last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute' AS stale
              FROM api_keys WHERE prefix = $1 AND (ends_at IS NULL OR ends_at > clock_timestamp())
            """,
            read[1] if read else "",
        )
        if not hmac.compare_digest(row["hash"] if row else _NO_HASH, _hash(token)) or row is None:
            return None
        if row["stale"]:
            with suppress(ReadOnlySQLTransactionError):  # a standby can answer, and takes no note
                await self._pool.execute(
                    "UPDATE api_keys SET last_used_at = clock_timestamp() WHERE prefix = $1", row["prefix"]
                )
        return ApiKey.model_validate(dict(row))

    async def in_force(self, prefix: str) -> bool:
        """Return whether a key that was accepted before has been neither revoked nor expired since."""
        found: bool = await self._pool.fetchval(
            """
            SELECT EXISTS (SELECT FROM api_keys
                            WHERE prefix = $1 AND (ends_at IS NULL OR ends_at > clock_timestamp()))
            """,
            prefix,
        )
        return found

    async def _end(self, prefix: str, after: timedelta) -> ApiKey:
        row = await self._pool.fetchrow(
            """
            UPDATE api_keys SET ends_at = least(ends_at, clock_timestamp() + $2::interval)
             WHERE prefix = $1 AND (ends_at IS NULL OR ends_at > clock_timestamp()) RETURNING *
            """,
            prefix,
            after,
        )
        if row is None:
            raise ApiKeyNotFoundError
        return ApiKey.model_validate(dict(row))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", errors="replace")).digest()
