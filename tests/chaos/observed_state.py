"""The final state of the subscriptions, read with SQL as the database's owner and from Temporal."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg
from support.data_search import data_of_run
from support.subscription_driver import failed_tasks
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.erasure import PERSONAL_DATA
from adapters.postgres.pool import Connection
from subscription.business_calendar import KST
from subscription.event_documents import event_from_json
from subscription.event_messages import event_message
from subscription.ids import WORKFLOW_ID_PREFIX

Owner: TypeAlias = "asyncpg.Connection | Connection"

MARKER = r"zq[0-9]+q"
"""Regular expression for the markers of subscriptions, in PostgreSQL and in Python."""


@dataclass
class Facts:
    """One subscription. `row` is None if it has none; `events` and `lines` are in the recorded order.

    `events`: number, name, state, effective_at. `lines`: key, kind, first_day, end_day, plan, members,
    amount, effective_at. `answers`: the IDs of the commands whose response is stored. `personal`: the
    number of rows per table with personal data. `certificates`: their parts. `found_in`: the tables and
    runs in which its marker was found.
    """

    row: dict[str, Any] | None = None
    events: list[tuple[int, str, str, datetime]] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    agreements: int = 0
    names: list[str] = field(default_factory=list)
    workspace: dict[str, Any] | None = None
    personal: dict[str, int] = field(default_factory=dict)
    certificates: list[str] = field(default_factory=list)
    found_in: set[str] = field(default_factory=set)
    runs: int = 0
    running: bool = False
    pending_activities: int = 0
    needs_attention: bool = False
    failed_tasks: list[str] = field(default_factory=list)


async def read_record(owner: Owner, ids: Sequence[str]) -> dict[str, Facts]:
    """Read these subscriptions with SQL, without the tables that have their markers."""
    facts = {id_: Facts() for id_ in ids}
    for row in await owner.fetch(
        """
        SELECT subscription_id, state, access, plan, members, sequence, next_deadline, next_deadline_at,
               request_fingerprint, customer_id
          FROM subscriptions WHERE subscription_id = ANY($1)
        """,
        ids,
    ):
        facts[row["subscription_id"]].row = dict(row)
    for row in await owner.fetch(
        """
        SELECT subscription_id, sequence, event, state, effective_at
          FROM lifecycle_events WHERE subscription_id = ANY($1) ORDER BY sequence
        """,
        ids,
    ):
        facts[row["subscription_id"]].events.append(tuple(row)[1:])
    for row in await owner.fetch(
        """
        SELECT subscription_id, key, kind, first_day, end_day, line ->> 'plan' AS plan,
               (line ->> 'members')::integer AS members, amount, effective_at
          FROM ledger WHERE subscription_id = ANY($1) ORDER BY sequence, position
        """,
        ids,
    ):
        line = dict(row)
        facts[line.pop("subscription_id")].lines.append(line)
    for table, column, into in (
        ("command_answers", "command_id", "answers"),
        ("account_names", "name", "names"),
        ("erasure_certificates", "part", "certificates"),
    ):
        for row in await owner.fetch(
            f"SELECT subscription_id, {column} FROM {table} WHERE subscription_id = ANY($1) ORDER BY 2",
            ids,
        ):
            getattr(facts[row["subscription_id"]], into).append(row[column])
    for row in await owner.fetch(
        """
        SELECT subscription_id, account_name, plan, members, access FROM workspaces
         WHERE subscription_id = ANY($1)
        """,
        ids,
    ):
        workspace = dict(row)
        facts[workspace.pop("subscription_id")].workspace = workspace
    for row in await owner.fetch(
        """
        SELECT subscription_id, count(DISTINCT sequence) AS count FROM terms_agreements
         WHERE subscription_id = ANY($1) GROUP BY 1
        """,
        ids,
    ):
        facts[row["subscription_id"]].agreements = row["count"]
    for table in PERSONAL_DATA:
        for row in await owner.fetch(
            f"SELECT subscription_id, count(*) FROM {table} WHERE subscription_id = ANY($1) GROUP BY 1", ids
        ):
            facts[row["subscription_id"]].personal[table] = row["count"]
    return facts


async def read_events(owner: Owner, customer_id: str) -> list[dict[str, Any]]:
    """Return every event of a customer's subscriptions from the database, in order per subscription.

    `time` and the lines of `ledger` have the public format.
    """
    rows = await owner.fetch(
        """
        SELECT subscription_id, customer_id, happened.sequence, event, happened.state, effective_at, detail
          FROM lifecycle_events AS happened JOIN subscriptions USING (subscription_id)
         WHERE customer_id = $1 ORDER BY subscription_id, happened.sequence
        """,
        customer_id,
    )
    events = [(row, event_from_json(row["subscription_id"], row["detail"])) for row in rows]
    return [
        {
            **row,
            "time": row["effective_at"].astimezone(KST).isoformat(),
            "message": event_message(event),
            "ledger": [line.model_dump(mode="json") for line in event.lines],
        }
        for row, event in events
    ]


async def markers_by_table(owner: Owner) -> dict[str, set[str]]:
    """Return the markers that any column of a table has, by table: a marker is in all personal data."""
    tables = await owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {
        table: {
            row["marker"]
            for row in await owner.fetch(
                f"SELECT DISTINCT (regexp_matches(t::text, $1, 'g'))[1] AS marker FROM {table} AS t",
                f"({MARKER})",
            )
        }
        for [table] in tables
    }


async def is_idle(client: Client, id_: str) -> bool:
    """Return whether the subscription's workflow is idle, has ended, or does not exist."""
    try:
        description = await client.get_workflow_handle(WORKFLOW_ID_PREFIX + id_).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return True
    raw = description.raw_description
    return not raw.pending_activities and not raw.HasField("pending_workflow_task")


async def read_workflow(client: Client, id_: str, facts: Facts, marker: str) -> None:
    """Add to `facts` all that Temporal has of the subscription's workflow."""
    workflow_id = WORKFLOW_ID_PREFIX + id_
    runs = [run async for run in client.list_workflows(f"WorkflowId = '{workflow_id}'")]
    for run in runs:
        handle = client.get_workflow_handle(workflow_id, run_id=run.run_id)
        try:
            description = await handle.describe()
            facts.failed_tasks += failed_tasks([event async for event in handle.fetch_history_events()])
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # it has just been deleted
                raise
            continue
        facts.runs += 1
        if description.status is WorkflowExecutionStatus.RUNNING:
            facts.running = True
            facts.pending_activities += len(description.raw_description.pending_activities)
            attention = description.search_attributes.get("NeedsAttention", [False])
            facts.needs_attention |= bool(attention[0])
        if re.search(marker.encode(), await data_of_run(client, workflow_id, run.run_id)):
            facts.found_in.add("a workflow history")
