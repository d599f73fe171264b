"""Deleting the workflow histories that hold personal data (R31)."""

import asyncio
from datetime import datetime

from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest, DescribeWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode

from activities import record
from activities.database import Pool
from subscription.effects import WORKFLOW_ID_PREFIX, DeleteHistories, ErasureCertificate, HistoriesDeleted

_LOOK_AGAIN_AFTER_SECONDS = (0.05, 0.1, 0.2, 0.4, *(0.5,) * 40)


class HistoryActivities:
    def __init__(self, pool: Pool, client: Client) -> None:
        self._pool = pool
        self._client = client

    @activity.defn
    async def delete_histories(self, wanted: DeleteHistories) -> HistoriesDeleted:
        """Delete every run of this workflow but the one that asks; returns once none can be read."""
        info = activity.info()
        workflow_id = info.workflow_id or ""
        query = f"WorkflowId = '{_escaped(workflow_id)}'"
        listed = [run.run_id async for run in self._client.list_workflows(query)]
        runs = sorted({*wanted.run_ids, *listed} - {info.workflow_run_id})
        for run in runs:
            await self._delete(workflow_id, run)
        await self._wait_until_gone(workflow_id, runs)
        if wanted.erased_at is not None:
            await self._certify(
                workflow_id.removeprefix(WORKFLOW_ID_PREFIX), wanted.erased_at, len(wanted.run_ids)
            )
        return HistoriesDeleted(runs=len(wanted.run_ids))

    async def _delete(self, workflow_id: str, run_id: str) -> None:
        try:
            await self._client.workflow_service.delete_workflow_execution(
                DeleteWorkflowExecutionRequest(
                    namespace=self._client.namespace,
                    workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
                )
            )
        except RPCError as error:
            _unless_not_found(error)

    async def _wait_until_gone(self, workflow_id: str, runs: list[str]) -> None:
        """Deleting is asynchronous in the server: it takes moments, and half a minute on a busy cluster."""
        for pause in _LOOK_AGAIN_AFTER_SECONDS:
            runs = [run for run in runs if await self._exists(workflow_id, run)]
            if not runs:
                return
            await asyncio.sleep(pause)
        raise ApplicationError(
            f"{len(runs)} runs can still be read; looking again later",
            type="HistoriesLeft",
            category=ApplicationErrorCategory.BENIGN,
        )

    async def _exists(self, workflow_id: str, run_id: str) -> bool:
        try:
            await self._client.workflow_service.describe_workflow_execution(
                DescribeWorkflowExecutionRequest(
                    namespace=self._client.namespace,
                    execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
                )
            )
        except RPCError as error:
            _unless_not_found(error)
            return False
        return True

    async def _certify(self, subscription_id: str, erased_at: datetime, runs: int) -> None:
        async with self._pool.acquire() as connection:
            certificate = ErasureCertificate(
                subscription_id=subscription_id, erased_at=erased_at, rows={"workflow_runs": runs}
            )
            await record.certify(connection, certificate, "HISTORIES")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _unless_not_found(error: RPCError) -> None:
    if error.status is not RPCStatusCode.NOT_FOUND:
        raise error
