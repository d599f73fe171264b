"""How often one may fail to sign in, by account and by address; all processes count together."""

import hashlib

from activities.database import Pool

MINUTES = 15
_MOST_BY_BOTH, _MOST_BY_ADDRESS, _MOST_BY_ACCOUNT = 5, 30, 50


class Throttle:
    """Accounts that there are not are counted like the others, so that nothing is told of either."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def allows(self, account: str, address: str) -> bool:
        rows = await self._pool.fetch(
            """
            SELECT who_hash, count(*) AS failed FROM failed_sign_ins
             WHERE who_hash = ANY($1) AND at > clock_timestamp() - make_interval(mins => $2)
             GROUP BY who_hash
            """,
            list(_keys(account, address)),
            MINUTES,
        )
        failed = {row["who_hash"]: row["failed"] for row in rows}
        return all(failed.get(key, 0) < most for key, most in _keys(account, address).items())

    async def failed(self, account: str, address: str) -> None:
        """One more failure; those of long ago are forgotten on the way."""
        await self._pool.execute(
            "DELETE FROM failed_sign_ins WHERE at < clock_timestamp() - make_interval(mins => $1)", MINUTES
        )
        await self._pool.executemany(
            "INSERT INTO failed_sign_ins (who_hash) VALUES ($1)",
            [(key,) for key in _keys(account, address)],
        )


def _keys(account: str, address: str) -> dict[bytes, int]:
    return {
        _hash("both", account, address): _MOST_BY_BOTH,
        _hash("address", address): _MOST_BY_ADDRESS,
        _hash("account", account): _MOST_BY_ACCOUNT,
    }


def _hash(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()
