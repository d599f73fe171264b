"""Erasure: all data of a subscription, permanently deleted, counted again, and certified (R31).

The worker's role can neither delete nor certify itself: the database does both at once, if the record agrees.
"""

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
    "console_sessions",
)
"""Every table that may name a person: those of the table `personal_data`, which the database goes by."""


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
    await record.update_subscription(connection, erase.state)
    await record.insert_events(connection, erase.state, erase.sequence, (erase.event,))
    return await delete_personal_data(connection, erase.subscription_id, provisioner)


async def delete_personal_data(
    connection: Connection, subscription_id: str, provisioner: WorkspaceProvisioner
) -> ErasureCertificate:
    """Of what is recorded as erased; the certificate is the first one's, whatever is deleted now."""
    await outbox.outdate_all(connection, subscription_id)
    await provisioner.delete(subscription_id)
    return await record.erase_personal_data(connection, subscription_id)
