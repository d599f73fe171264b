"""Recorder of histories, including those that a subscription deletes at its end (R31)."""

from typing import Any

from temporalio import activity, client, worker
from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode


class Recorder(client.Interceptor, worker.Interceptor):
    """Interceptor for a client; workers of this client hand over the histories before they delete them."""

    def __init__(self) -> None:
        self._deleted: dict[str, list[WorkflowHistory]] = {}

    async def runs_of(self, temporal: Client, workflow_id: str) -> list[WorkflowHistory]:
        """Return every run of a workflow, oldest first, including deleted runs."""
        return [*self._deleted.get(workflow_id, []), *await readable_runs(temporal, workflow_id)]

    def intercept_activity(
        self, next: worker.ActivityInboundInterceptor
    ) -> worker.ActivityInboundInterceptor:
        return _BeforeDeletion(next, self._deleted)


class _BeforeDeletion(worker.ActivityInboundInterceptor):
    def __init__(
        self, next: worker.ActivityInboundInterceptor, deleted: dict[str, list[WorkflowHistory]]
    ) -> None:
        super().__init__(next)
        self._deleted = deleted

    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:
        info = activity.info()
        workflow_id = info.workflow_id
        if info.activity_type == "delete_histories" and workflow_id and workflow_id not in self._deleted:
            [*earlier, _] = await readable_runs(activity.client(), workflow_id)
            self._deleted[workflow_id] = earlier
        return await super().execute_activity(input)


async def readable_runs(temporal: Client, workflow_id: str) -> list[WorkflowHistory]:
    """Return the runs that have not been deleted, oldest first."""
    runs = [await temporal.get_workflow_handle(workflow_id).fetch_history()]
    while run_id := runs[0].events[0].workflow_execution_started_event_attributes.continued_execution_run_id:
        try:
            runs.insert(0, await temporal.get_workflow_handle(workflow_id, run_id=run_id).fetch_history())
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            break
    return runs
