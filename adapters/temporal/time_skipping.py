"""Fast-forward of the clock of one workflow, by the time skipping of development servers."""

from datetime import timedelta
from uuid import uuid4

from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.common.v1 import FastForwardConfig, TimeSkippingConfig, WorkflowExecution
from temporalio.api.enums.v1.time_skipping_pb2 import FastForwardPollingResult
from temporalio.api.workflow.v1 import WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import (
    PollWorkflowExecutionTimeSkippingRequest,
    UpdateWorkflowExecutionOptionsRequest,
)
from temporalio.client import Client

# With a domain to verify, a subscription wakes about 445 times a year; the server's default limit is 200.
_MAX_SKIPS = 100_000


async def fast_forward(client: Client, workflow_id: str, duration: timedelta) -> None:
    """Move the clock of the latest run by `duration`; return when it has moved, or cannot any more.

    The request is sent once: the SDK's `TimeSkipper` repeats it after a lost response, and the server then
    moves the clock twice. The caller reads the clock after an error.

    Raises:
        RPCError: NOT_FOUND if no workflow runs with this ID, UNAVAILABLE or UNKNOWN after a lost response.
    """
    config = FastForwardConfig(id=str(uuid4()))
    config.duration.FromTimedelta(duration)
    options = WorkflowExecutionOptions(
        time_skipping_config=TimeSkippingConfig(
            enabled=True, fast_forward_config=config, max_session_skip_count=_MAX_SKIPS
        )
    )
    await client.workflow_service.update_workflow_execution_options(
        UpdateWorkflowExecutionOptionsRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id),
            workflow_execution_options=options,
            update_mask=FieldMask(paths=["time_skipping_config"]),
            identity=client.identity,
        )
    )
    await wait_for_fast_forward(client, workflow_id, config.id)


async def wait_for_fast_forward(client: Client, workflow_id: str, fast_forward_id: str) -> None:
    """Return when this fast-forward has ended: at its target, with the workflow, or replaced by another."""
    result = FastForwardPollingResult.FAST_FORWARD_POLLING_RESULT_POLL_TIMEOUT
    while result == FastForwardPollingResult.FAST_FORWARD_POLLING_RESULT_POLL_TIMEOUT:
        response = await client.workflow_service.poll_workflow_execution_time_skipping(
            PollWorkflowExecutionTimeSkippingRequest(
                namespace=client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=workflow_id),
                fast_forward_id=fast_forward_id,
            ),
            retry=True,
        )
        result = response.fast_forward_polling_result
