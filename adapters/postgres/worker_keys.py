"""Keys with which workers authenticate messages, readable by the worker's database role alone."""

from adapters.postgres.pool import DatabaseError, Pool
from subscription.message_authentication import Seals


async def worker_seals(pool: Pool) -> Seals:
    """Load the keys, the newest first. A worker loads them once: restart it after a new key was added."""
    rows = await pool.fetch("SELECT key FROM worker_keys ORDER BY number DESC")
    if not rows:
        raise DatabaseError(
            "The table worker_keys is empty. As the owner of the database: "
            "INSERT INTO worker_keys DEFAULT VALUES."
        )
    return Seals(tuple(row["key"] for row in rows))
