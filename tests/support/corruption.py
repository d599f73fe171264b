"""Forbidden changes to the database, made by a superuser with triggers and foreign keys disabled."""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ResetReapplyExcludeType
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    ResetWorkflowExecutionRequest,
)

from activities.erasure import PERSONAL_DATA
from adapters.postgres.pool import Connection
from subscription.event_replay import without_transient_fields
from subscription.state import Subscription

from .polling import wait_for
from .service_env import ServiceEnv, unique_name
from .subscription_driver import SubscriptionDriver, is_known

# In the order that the foreign keys require for inserts.
TABLES_OF_A_SUBSCRIPTION = (
    "subscriptions",
    "lifecycle_events",
    "ledger_lines",
    "ledger_adjustments",
    "command_answers",
    "erasure_certificates",
    *PERSONAL_DATA,
)


async def execute_as_superuser(service_env: ServiceEnv, statement: str, *arguments: Any) -> None:
    async with service_env.owner.acquire() as connection, connection.transaction():
        guarded = [table for table in await _guarded(connection) if table in statement]
        async with append_only_disabled(connection, guarded):
            await connection.execute(statement, *arguments)


@asynccontextmanager
async def append_only_disabled(connection: Connection, tables: Iterable[str]) -> AsyncIterator[None]:
    """Allow any change to these append-only tables, in a transaction of a superuser."""
    await connection.execute("SET LOCAL session_replication_role = replica")
    for table in tables:
        await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only")
    yield
    for table in tables:
        await connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only")


async def _guarded(connection: Connection) -> list[str]:
    rows = await connection.fetch(
        "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'append_only'"
    )
    return [table for [table] in rows]


async def delete_rows(service_env: ServiceEnv, subscription: SubscriptionDriver) -> None:
    """Delete a whole subscription from the database."""
    for table in reversed(TABLES_OF_A_SUBSCRIPTION):
        await execute_as_superuser(
            service_env, f"DELETE FROM {table} WHERE subscription_id = $1", subscription.id
        )


async def stored_rows(service_env: ServiceEnv, subscription: SubscriptionDriver) -> dict[str, list[Any]]:
    """Return all rows of a subscription, without the times at which they were written.

    The emails of notices are not compared, because a repair queues none.
    """
    return {
        table: [
            {column: _comparable(column, value) for column, value in row.items() if column not in _WRITTEN}
            for row in await service_env.owner.fetch(
                f"SELECT * FROM {table} AS t WHERE subscription_id = $1 ORDER BY t::text", subscription.id
            )
        ]
        for table in TABLES_OF_A_SUBSCRIPTION
        if table != "notice_emails"
    }


# The product's `version` is the number of the event of its last update, which may be late.
_WRITTEN = ("recorded_at", "reserved_since", "answered_at", "version")


def _comparable(column: str, value: Any) -> Any:
    """Remove what is not part of the comparison: the time of the next domain check, the spacing of JSON."""
    match column:
        case "snapshot":
            return without_transient_fields(Subscription.model_validate_json(value))
        case "detail":
            return json.loads(value)
        case _:
            return value


async def delete_all_histories(subscription: SubscriptionDriver) -> None:
    """Delete all runs of a workflow from the server."""
    for run_id in await subscription.run_ids():
        await delete_run(subscription, run_id)

    async def is_forgotten() -> bool:
        return not await is_known(subscription.handle)

    await wait_for("the workflow is gone", is_forgotten)


async def delete_run(subscription: SubscriptionDriver, run_id: str) -> None:
    await subscription.temporal.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=subscription.temporal.namespace,
            workflow_execution=WorkflowExecution(workflow_id=subscription.workflow_id, run_id=run_id),
        ),
        retry=True,
    )

    async def is_forgotten() -> bool:
        return run_id not in await subscription.run_ids()

    await wait_for("the run is gone", is_forgotten)


async def reset_to_run_start(subscription: SubscriptionDriver) -> None:
    """Reset the workflow to the start of its current run, as after a restore of the server."""
    run_id = (await subscription.handle.describe()).run_id
    first = next(
        event.event_id
        for event in await subscription.history(run_id)
        if event.HasField("workflow_task_completed_event_attributes")
    )
    await subscription.temporal.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=subscription.temporal.namespace,
            workflow_execution=WorkflowExecution(workflow_id=subscription.workflow_id, run_id=run_id),
            reason="restored from a backup",
            workflow_task_finish_event_id=first,
            request_id=unique_name("reset"),
            reset_reapply_exclude_types=[
                ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL,
                ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE,
            ],
        ),
        retry=True,
    )


class Backup:
    """A copy of the whole database, from which it can be restored while the service runs."""

    def __init__(self, service_env: ServiceEnv, tables: list[str]) -> None:
        self._house = service_env
        self._tables = tables

    @classmethod
    async def of(cls, service_env: ServiceEnv) -> "Backup":
        async with service_env.owner.acquire() as connection:
            await connection.execute("CREATE SCHEMA backup")
            tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            for [table] in tables:
                await connection.execute(f"CREATE TABLE backup.{table} AS TABLE public.{table}")
        return cls(service_env, [table for [table] in tables])

    async def is_restored(self) -> None:
        async with (
            self._house.owner.acquire() as connection,
            connection.transaction(),
            append_only_disabled(connection, await _guarded(connection)),
        ):
            for table in self._tables:
                await connection.execute(f"DELETE FROM public.{table}")
                await connection.execute(
                    f"INSERT INTO public.{table} OVERRIDING SYSTEM VALUE SELECT * FROM backup.{table}"
                )
            # Without the copies, the next test can use the database again.
            await connection.execute("DROP SCHEMA backup CASCADE")
