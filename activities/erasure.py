"""Erasure: all data of a subscription, permanently deleted, counted again, and certified (R31)."""

from temporalio import activity

from activities import outbox, record, reporting
from activities.database import Connection, Pool
from activities.workspace import WorkspaceProvisioner
from subscription.effects import Erase, ErasureCertificate

PERSONAL_DATA = (
    "account_names",
    "companies",
    "members",
    "administrators",
    "workspaces",
    "domain_tokens",
    "event_notes",
    "notice_letters",
)
"""Every table that may name a person. Members go before their administrator, to be counted by themselves."""


class ErasureActivities:
    def __init__(self, pool: Pool, workspaces: WorkspaceProvisioner) -> None:
        self._pool = pool
        self._workspaces = workspaces

    @activity.defn
    async def erase_subscription(self, erase: Erase) -> ErasureCertificate:
        """Erase and certify in one transaction; erasing twice is harmless and answers the same."""
        async with self._pool.acquire() as connection, connection.transaction():
            await record.recorded_sequence(connection, erase.subscription_id)
            issued = await record.issued_certificate(connection, erase.subscription_id, "DATABASE")
            if issued:
                return issued
            certificate = await erase_within(connection, erase, self._workspaces)
        reporting.recorded(erase.subscription_id, erase.sequence, (erase.event,))
        return certificate


async def erase_within(
    connection: Connection, erase: Erase, provisioner: WorkspaceProvisioner
) -> ErasureCertificate:
    """Erase and certify in the transaction of this connection."""
    workspaces = await provisioner.delete(erase.subscription_id, connection)
    rows = await delete_personal_data(connection, erase.subscription_id)
    rows["workspaces"] += workspaces
    await record.update_subscription(connection, erase.state)
    await record.forget_request(connection, erase.subscription_id)
    await record.insert_events(connection, erase.state, erase.sequence, (erase.event,))
    certificate = ErasureCertificate(
        subscription_id=erase.subscription_id, erased_at=erase.event.at, rows=rows
    )
    await record.certify(connection, certificate, "DATABASE")
    return certificate


async def delete_personal_data(connection: Connection, subscription_id: str) -> dict[str, int]:
    """How many rows of each table there were; they are counted again afterwards."""
    await outbox.outdate_all(connection, subscription_id)
    rows = {table: await _delete(connection, table, subscription_id) for table in PERSONAL_DATA}
    left = {table: await _count(connection, table, subscription_id) for table in PERSONAL_DATA}
    if any(left.values()):
        raise RuntimeError(f"the erasure of {subscription_id} left rows behind: {left}")
    return rows


async def _delete(connection: Connection, table: str, subscription_id: str) -> int:
    return len(
        await connection.fetch(f"DELETE FROM {table} WHERE subscription_id = $1 RETURNING 1", subscription_id)
    )


async def _count(connection: Connection, table: str, subscription_id: str) -> int:
    count: int = await connection.fetchval(
        f"SELECT count(*) FROM {table} WHERE subscription_id = $1", subscription_id
    )
    return count
