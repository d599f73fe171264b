"""Sticky task queues: Temporal sends the next workflow tasks to the worker that has the workflow cached."""

from collections.abc import Iterable

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetStickyTaskQueueRequest
from temporalio.client import Client


async def forget_worker(temporal: Client, workflow_ids: Iterable[str]) -> None:
    """Let any worker get the next tasks; Temporal would wait ten seconds for a killed one."""
    for workflow_id in workflow_ids:
        await temporal.workflow_service.reset_sticky_task_queue(
            ResetStickyTaskQueueRequest(
                namespace=temporal.namespace, execution=WorkflowExecution(workflow_id=workflow_id)
            )
        )
