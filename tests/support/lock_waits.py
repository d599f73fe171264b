"""Sessions of the database that wait for a lock."""

from adapters.postgres.pool import Pool
from support.polling import wait_for


async def wait_for_blocked_sessions(pool: Pool, number: int = 1, *, query: str = "") -> list[int]:
    """Wait until this number of sessions, whose SQL contains `query`, wait for a lock; return their PIDs."""

    async def blocked() -> list[int]:
        rows = await pool.fetch(
            """
            SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock' AND position($1 IN query) > 0
            """,
            query,
        )
        return [row["pid"] for row in rows] if len(rows) == number else []

    return await wait_for(f"{number} sessions wait for a lock", blocked)
