"""Pauses of a subscription's workflow, as by `temporal workflow pause`."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from temporalio.api.workflowservice.v1 import PauseWorkflowExecutionRequest, UnpauseWorkflowExecutionRequest
from temporalio.client import Client

from subscription.ids import WORKFLOW_ID_PREFIX


@asynccontextmanager
async def paused(temporal: Client, subscription_id: str) -> AsyncIterator[None]:
    """Pause the workflow in this block."""
    fields: dict[str, Any] = {
        "namespace": temporal.namespace,
        "workflow_id": WORKFLOW_ID_PREFIX + subscription_id,
        "identity": "a test",
        "reason": "T-4711",
        "request_id": str(uuid.uuid4()),
    }
    await temporal.workflow_service.pause_workflow_execution(PauseWorkflowExecutionRequest(**fields))
    try:
        yield
    finally:
        await temporal.workflow_service.unpause_workflow_execution(UnpauseWorkflowExecutionRequest(**fields))
