"""Search for values in every place in which they could be stored."""

from collections.abc import Sequence

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.key_usage import payloads_in

from .polling import wait_for
from .service_env import ServiceEnv


async def found_in_database(service_env: ServiceEnv, values: Sequence[str]) -> list[tuple[str, str]]:
    """Return the tables that have one of the values in any column, with the value."""
    tables = await service_env.owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found = []
    for [table] in tables:
        rows = await service_env.owner.fetch(
            f"SELECT DISTINCT v FROM {table} t, unnest($1::text[]) v WHERE strpos(t::text, v) > 0", values
        )
        found += [(table, row["v"]) for row in rows]
    return found


async def found_in_workflow(
    client: Client, workflow_id: str, values: Sequence[str], runs: Sequence[str] = ()
) -> list[tuple[str, str]]:
    """Return the values that are in a run of the workflow: in its events, search attributes or memo.

    `runs` are searched in addition to the listed runs. Payloads are decrypted with the client's keys.
    """
    listed = [run async for run in client.list_workflows(f"WorkflowId = '{workflow_id}'")]
    readable = {run.run_id: run.raw_info.SerializeToString() for run in listed}
    for run_id in {*readable, *runs}:
        readable[run_id] = readable.get(run_id, b"") + await data_of_run(client, workflow_id, run_id)
    return [
        (run_id, value) for run_id, text in readable.items() for value in values if value.encode() in text
    ]


async def is_deleted_from_workflow(
    client: Client, workflow_id: str, values: Sequence[str], runs: Sequence[str] = ()
) -> None:
    """Wait until none of the values is found: a run leaves the lists a moment after its history."""

    async def nothing_is_found() -> bool:
        return not await found_in_workflow(client, workflow_id, values, runs)

    await wait_for(f"nothing of {', '.join(values)} is left of {workflow_id}", nothing_is_found)


async def data_of_run(client: Client, workflow_id: str, run_id: str) -> bytes:
    """Return all data that the server has of a run, also decrypted; empty if the run was deleted."""
    parts, page, codec = b"", b"", client.data_converter.payload_codec
    while True:
        try:
            answer = await client.workflow_service.get_workflow_execution_history(
                GetWorkflowExecutionHistoryRequest(
                    namespace=client.namespace,
                    execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
                    next_page_token=page,
                ),
                retry=True,
            )
            description = await client.get_workflow_handle(workflow_id, run_id=run_id).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return parts
        parts += answer.SerializeToString() + description.raw_description.SerializeToString()
        if codec:
            for payload in await codec.decode([*payloads_in(answer)]):
                parts += payload.SerializeToString()
        page = answer.next_page_token
        if not page:
            return parts
