"""Deleting the workflow histories that hold personal data (R31)."""

from temporalio import activity
from temporalio.client import Client

from activities import record
from activities.database import Pool
from activities.runs import delete_runs, listed_runs
from subscription.effects import WORKFLOW_ID_PREFIX, DeleteHistories, HistoriesDeleted


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
            erased = workflow_id.removeprefix(WORKFLOW_ID_PREFIX)
            await record.certify_histories(self._pool, erased, wanted.forgotten + len(wanted.run_ids))
        return HistoriesDeleted(runs=wanted.forgotten + len(wanted.run_ids))
