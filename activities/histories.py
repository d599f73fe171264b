"""Deleting the workflow histories that hold personal data (R31)."""

from datetime import datetime

from temporalio import activity
from temporalio.client import Client

from activities import record
from activities.database import Pool
from activities.runs import delete_runs, listed_runs
from subscription.effects import WORKFLOW_ID_PREFIX, DeleteHistories, ErasureCertificate, HistoriesDeleted


class HistoryActivities:
    def __init__(self, pool: Pool, client: Client) -> None:
        self._pool = pool
        self._client = client

    @activity.defn
    async def delete_histories(self, wanted: DeleteHistories) -> HistoriesDeleted:
        """Delete every run of this workflow but the one that asks; returns once none can be read."""
        info = activity.info()
        workflow_id = info.workflow_id or ""
        listed = [run.run_id for run in await listed_runs(self._client, workflow_id)]
        runs = {*wanted.run_ids, *listed} - {info.workflow_run_id or ""}
        await delete_runs(self._client, workflow_id, sorted(runs))
        if wanted.erased_at is not None:
            await certify_histories(
                self._pool,
                workflow_id.removeprefix(WORKFLOW_ID_PREFIX),
                wanted.erased_at,
                len(wanted.run_ids),
            )
        return HistoriesDeleted(runs=len(wanted.run_ids))


async def certify_histories(pool: Pool, subscription_id: str, erased_at: datetime, runs: int) -> None:
    """Certify that so many runs of an erased subscription have been deleted."""
    certificate = ErasureCertificate(
        subscription_id=subscription_id, erased_at=erased_at, rows={"workflow_runs": runs}
    )
    async with pool.acquire() as connection:
        await record.certify(connection, certificate, "HISTORIES")
