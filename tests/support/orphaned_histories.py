"""Orphaned histories: histories that no workflow has deleted."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from temporalio.client import WorkflowExecutionStatus

from .polling import wait_for
from .service_env import ServiceEnv


async def create_orphaned_history(
    service_env: ServiceEnv, workflow_id: str, request: Mapping[str, Any]
) -> str:
    """Create a run whose request never started and that was closed manually; return the workflow ID."""
    handle = await service_env.temporal.start_workflow(
        "SubscriptionWorkflow",
        dict(request),
        id=workflow_id,
        task_queue=service_env.task_queue,
        start_delay=timedelta(days=1),
    )
    await handle.terminate(reason="by an operator's mistake")

    async def is_listed() -> bool:
        query = f"RunId = '{handle.result_run_id}' AND ExecutionStatus = 'Terminated'"
        return [run.status async for run in service_env.temporal.list_workflows(query)] == [
            WorkflowExecutionStatus.TERMINATED
        ]

    await wait_for("the lists show that it was terminated", is_listed)
    return workflow_id
