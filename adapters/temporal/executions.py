"""Workflow executions: list and delete."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Iterable

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.client import WorkflowExecution as Run
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.visibility import quote_visibility_value

_PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.4, *(0.5,) * 40)
_REQUESTS = 4


async def list_runs(client: Client, workflow_id: str) -> list[Run]:
    """Return the runs that the server lists, oldest first. A run deleted just before may still be listed."""
    if "\0" in workflow_id:  # the server can start such a workflow, but not search for its ID
        return []
    runs = [run async for run in client.list_workflows(f"WorkflowId = {quote_visibility_value(workflow_id)}")]
    return sorted(runs, key=lambda run: run.start_time)


async def list_runs_page(client: Client, query: str, after: str, limit: int) -> tuple[list[Run], str | None]:
    """Return a page of the runs that match a visibility query, and the token of the next page or None."""
    runs = client.list_workflows(query, page_size=limit, next_page_token=b64decode(after))
    await runs.fetch_next_page()
    token = runs.next_page_token
    return list(runs.current_page or ()), b64encode(token).decode() if token else None


async def delete_runs(client: Client, workflow_id: str, run_ids: Iterable[str]) -> None:
    """Delete these runs, including a running one, and wait until none of them can be read. Idempotent."""
    runs = list(run_ids)
    # The server deletes asynchronously: usually within a second, on a busy cluster within half a minute. A
    # request that comes before it has acknowledged the end of the run waits for four seconds. Another request
    # does not.
    for number, pause in enumerate(_PAUSES_SECONDS):
        if number < _REQUESTS:
            for run_id in runs:
                await _delete(client, workflow_id, run_id)
        await asyncio.sleep(pause)
        runs = [run_id for run_id in runs if await _exists(client, workflow_id, run_id)]
        if not runs:
            return
    raise ApplicationError(
        f"{len(runs)} runs can still be read; checking again later",
        type="HISTORIES_NOT_DELETED",
        category=ApplicationErrorCategory.BENIGN,
    )


async def _delete(client: Client, workflow_id: str, run_id: str) -> None:
    try:
        await client.workflow_service.delete_workflow_execution(
            DeleteWorkflowExecutionRequest(
                namespace=client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
            ),
            retry=True,
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def _exists(client: Client, workflow_id: str, run_id: str) -> bool:
    try:
        await client.get_workflow_handle(workflow_id, run_id=run_id).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True
