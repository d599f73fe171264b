"""SQL of the contact email address of a subscription (R8)."""

from adapters.postgres.pool import Pool


async def contact_email(pool: Pool, subscription_id: str) -> str | None:
    address: str | None = await pool.fetchval(
        "SELECT contact_email FROM companies WHERE subscription_id = $1", subscription_id
    )
    return address


async def set_contact_email(pool: Pool, subscription_id: str, address: str | None) -> bool:
    """Replace or remove the address; return False if the subscription is erased (R31)."""
    saved: bool | None = await pool.fetchval(
        "UPDATE companies SET contact_email = $2 WHERE subscription_id = $1 RETURNING true",
        subscription_id,
        address,
    )
    return saved is not None
