"""Message authentication keys of the workers, readable only by the worker's database role."""

from adapters.postgres.pool import DatabaseError, Pool
from subscription.message_authentication import MessageSigner


async def worker_signer(pool: Pool) -> MessageSigner:
    """Load the keys, newest first. A worker loads them once; restart it after adding a key."""
    rows = await pool.fetch("SELECT key FROM worker_keys ORDER BY number DESC")
    if not rows:
        raise DatabaseError(
            "The table worker_keys is empty. Execute as the owner of the database: "
            "INSERT INTO worker_keys DEFAULT VALUES."
        )
    return MessageSigner(tuple(row["key"] for row in rows))
