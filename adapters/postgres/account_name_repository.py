"""Account names: held group names, and held, claimed and lost domains (R5, R11 to R13).

Every function runs inside its caller's transaction.
"""

from collections.abc import Sequence
from typing import Literal

from adapters.postgres.pool import Connection, Pool

NameStatus = Literal["HELD", "CLAIMED", "LOST"]


async def hold_group_name(connection: Connection, subscription_id: str, name: str) -> bool:
    """Take a group name; return False if another active subscription holds it (R5)."""
    # Concurrent inserts serialize on the unique index. The loser inserts nothing, and its statement snapshot
    # does not contain the winner's row, so the query returns NULL.
    holder = await connection.fetchval(
        """
        WITH taken AS (
            INSERT INTO account_names (name, kind, subscription_id, status) VALUES ($1, 'GROUP', $2, 'HELD')
            ON CONFLICT DO NOTHING RETURNING subscription_id
        )
        SELECT subscription_id FROM taken
         UNION ALL SELECT subscription_id FROM account_names WHERE name = $1
        """,
        name,
        subscription_id,
    )
    return bool(holder == subscription_id)


async def claim_domain(connection: Connection, subscription_id: str, domain: str) -> bool:
    """Claim a domain that is not verified yet; return False if another subscription holds it (R5).

    A claim that is inserted while another subscription verifies the domain is lost: see `lost_domains`.
    """
    claimed: bool = await connection.fetchval(
        """
        WITH claimed AS (
            INSERT INTO account_names (name, kind, subscription_id, status)
            SELECT $1, 'DOMAIN', $2, 'CLAIMED'
             WHERE NOT EXISTS (SELECT FROM account_names WHERE name = $1 AND status = 'HELD')
            ON CONFLICT DO NOTHING RETURNING 1
        )
        SELECT EXISTS (SELECT FROM claimed)
            OR EXISTS (SELECT FROM account_names WHERE name = $1 AND subscription_id = $2)
        """,
        domain,
        subscription_id,
    )
    return claimed


async def hold_domain(connection: Connection, subscription_id: str, domain: str) -> bool:
    """Take a verified domain; every other claim is lost (R12). Return False if this claim is itself lost.

    Concurrent verifications serialize on the row locks of the claims, which are taken in the same order. The
    unique index `account_names_held` refuses a second holder in any case.
    """
    claims = await lock_claims(connection, (domain,))
    if claims.get((domain, subscription_id)) == "LOST" or any(
        status == "HELD" and holder != subscription_id for (_, holder), status in claims.items()
    ):
        return False
    if not await set_domain_status(connection, subscription_id, domain, "HELD"):
        return False
    await connection.execute(
        """
        UPDATE account_names SET status = 'LOST'
         WHERE name = $1 AND subscription_id <> $2 AND status = 'CLAIMED'
        """,
        domain,
        subscription_id,
    )
    return True


async def lock_claims(connection: Connection, names: Sequence[str]) -> dict[tuple[str, str], str]:
    """Lock all rows of these names; return the status by name and subscription.

    A transaction that changes several names locks all of them first: one order excludes deadlocks.
    """
    rows = await connection.fetch(
        """
        SELECT name, subscription_id, status FROM account_names
         WHERE name = ANY($1) ORDER BY name, subscription_id FOR UPDATE
        """,
        list(names),
    )
    return {(row["name"], row["subscription_id"]): row["status"] for row in rows}


async def set_domain_status(
    connection: Connection, subscription_id: str, domain: str, status: NameStatus
) -> bool:
    """Set the status of a subscription's domain; return False if another subscription has just taken it."""
    is_set: bool = await connection.fetchval(
        """
        WITH updated AS (
            UPDATE account_names SET status = $3 WHERE name = $1 AND subscription_id = $2 RETURNING 1
        ), inserted AS (
            INSERT INTO account_names (name, kind, subscription_id, status)
            SELECT $1, 'DOMAIN', $2, $3 WHERE NOT EXISTS (SELECT FROM updated)
            ON CONFLICT DO NOTHING RETURNING 1
        )
        SELECT EXISTS (SELECT FROM updated) OR EXISTS (SELECT FROM inserted)
        """,
        domain,
        subscription_id,
        status,
    )
    return is_set


async def lost_domains(
    connection: Connection | Pool, subscription_id: str, domains: Sequence[str]
) -> tuple[str, ...]:
    """Return those of the claimed domains that another subscription has verified first (R12).

    The winner marks the other claims as LOST, and the mark outlives its hold. A claim that was inserted
    during the verification has no mark, but the domain has another holder.
    """
    rows = await connection.fetch(
        """
        SELECT domain FROM unnest($2::text[]) AS domain
         WHERE EXISTS (SELECT FROM account_names WHERE name = domain
                          AND CASE subscription_id WHEN $1 THEN status = 'LOST' ELSE status = 'HELD' END)
        """,
        subscription_id,
        list(domains),
    )
    return tuple(row["domain"] for row in rows)


async def release_names(connection: Connection, subscription_id: str, names: Sequence[str]) -> None:
    await connection.execute(
        "DELETE FROM account_names WHERE subscription_id = $1 AND name = ANY($2)",
        subscription_id,
        list(names),
    )
