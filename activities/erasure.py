"""Activities that erase a subscription's data and workflow histories, and certify the erasure (R31).

The database role of the worker can neither delete nor certify. A database function does both in one
transaction, if the recorded events allow it.
"""

from temporalio import activity
from temporalio.client import Client

from activities import metrics
from adapters.postgres import erasure_certificates, notice_outbox, subscription_repository
from adapters.postgres.pool import Connection, Pool
from adapters.postgres.workspace_provisioner import WorkspaceProvisioner
from adapters.temporal.executions import delete_runs, list_runs
from subscription.activity_contracts import DeleteHistoriesInput, DeleteHistoriesResult, EraseInput
from subscription.erasure_certificate import ErasureCertificate
from subscription.ids import WORKFLOW_ID_PREFIX

PERSONAL_DATA = (
    "account_names",
    "companies",
    "members",
    "administrators",
    "workspaces",
    "domain_tokens",
    "event_private_data",
    "notice_emails",
    "console_sessions",
    "exports",
)
"""Every table with personal data; the same as in the table `personal_data`, which the database uses."""


class ErasureActivities:
    def __init__(self, pool: Pool, workspaces: WorkspaceProvisioner) -> None:
        self._pool = pool
        self._workspaces = workspaces

    @activity.defn
    async def erase_subscription(self, erase: EraseInput) -> ErasureCertificate:
        """Erase and certify in one transaction. Repeating it returns the same certificate."""
        async with self._pool.acquire() as connection, connection.transaction():
            await subscription_repository.lock_row_and_get_sequence(connection, erase.subscription_id)
            issued = await erasure_certificates.get_certificate(connection, erase.subscription_id, "DATABASE")
            if issued:
                return issued
            certificate = await erase_within(connection, erase, self._workspaces)
        metrics.count_recorded_events(erase.subscription_id, erase.sequence, (erase.event,))
        return certificate


async def erase_within(
    connection: Connection, erase: EraseInput, provisioner: WorkspaceProvisioner
) -> ErasureCertificate:
    """Erase and certify in the transaction of this connection."""
    await subscription_repository.update_subscription(connection, erase.state)
    await subscription_repository.insert_events(connection, erase.state, erase.sequence, (erase.event,))
    return await delete_personal_data(connection, erase.subscription_id, provisioner)


async def delete_personal_data(
    connection: Connection, subscription_id: str, provisioner: WorkspaceProvisioner
) -> ErasureCertificate:
    """Delete the personal data of a subscription that is recorded as erased.

    Return the first certificate, even if this call deletes further data.
    """
    await notice_outbox.expire_all(connection, subscription_id)
    await provisioner.delete(subscription_id)
    return await subscription_repository.erase_personal_data(connection, subscription_id)


class HistoryActivities:
    def __init__(self, pool: Pool, client: Client) -> None:
        self._pool = pool
        self._client = client

    @activity.defn
    async def delete_histories(self, input: DeleteHistoriesInput) -> DeleteHistoriesResult:
        """Delete every other run of the calling workflow; return once none of them can be read."""
        info = activity.info()
        workflow_id = info.workflow_id or ""
        listed = [run.run_id for run in await list_runs(self._client, workflow_id)]
        runs = {*input.run_ids, *listed} - {info.workflow_run_id or ""}
        await delete_runs(self._client, workflow_id, sorted(runs))
        if input.erased_at is not None:
            erased = workflow_id.removeprefix(WORKFLOW_ID_PREFIX)
            await subscription_repository.certify_histories(
                self._pool, erased, input.forgotten + len(input.run_ids)
            )
        return DeleteHistoriesResult(runs=input.forgotten + len(input.run_ids))
