"""The compared implementations behind one interface: request, switch to paid, and time of becoming idle."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Protocol

import asyncpg
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy

from benchmarks.baseline_temporal import workflow
from benchmarks.baseline_temporal.tables import Agreement, Request, Start, Switch
from benchmarks.polling import wait_for
from starter.client import SubscriptionClient
from subscription.business_calendar import day_of
from subscription.catalogue import PriceBook
from subscription.contract import ContractTerm
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.scenario import agreed_terms

_TEST_CLOCK_EVENTS = (
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
)
PASSWORD_HASH = (
    "$argon2id$v=19$m=65536,t=3,p=4$c2FtcGxlc2FsdHNhbXBsZQ$c2FtcGxlaGFzaHNhbXBsZWhhc2hzYW1wbGVoYXNoc2E"
)


class Implementation(Protocol):
    async def request(self) -> str:
        """Request a subscription and return the ID of its workflow after the response."""

    async def idle_since(self, workflow_id: str) -> datetime:
        """Wait until the workflow is idle and return since when, by the timestamp that it stored itself."""


class TemporalImplementation(Implementation, Protocol):
    temporal: Client

    async def switch_to_paid(self, workflow_id: str, at: datetime) -> None: ...


class WorksubImplementation:
    def __init__(self, temporal: Client, client: SubscriptionClient, book: PriceBook) -> None:
        self.temporal = temporal
        self._client, self._book = client, book

    async def request(self) -> str:
        answer = await self._client.request(fields(self._book) | {"request_id": str(uuid.uuid4())})
        return WORKFLOW_ID_PREFIX + answer.subscription_id

    async def idle_since(self, workflow_id: str) -> datetime:
        return await _timer_set_at(self.temporal, workflow_id)

    async def switch_to_paid(self, workflow_id: str, at: datetime) -> None:
        subscription_id = workflow_id.removeprefix(WORKFLOW_ID_PREFIX)
        await self._client.switch_to_paid(subscription_id, day_of(at), ContractTerm.ANNUAL)


class BaselineTemporal:
    def __init__(self, temporal: Client, book: PriceBook) -> None:
        self.temporal = temporal
        self._book = book

    async def request(self) -> str:
        request = plain_request(self._book)
        workflow_id = "plain-" + request.subscription_id
        await self.temporal.execute_update_with_start_workflow(
            workflow.PlainSubscription.request,
            start_workflow_operation=WithStartWorkflowOperation(
                workflow.PlainSubscription.run,
                Start(request),
                id=workflow_id,
                task_queue=workflow.TASK_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            ),
        )
        return workflow_id

    async def idle_since(self, workflow_id: str) -> datetime:
        return await _timer_set_at(self.temporal, workflow_id)

    async def switch_to_paid(self, workflow_id: str, at: datetime) -> None:
        handle = self.temporal.get_workflow_handle(workflow_id)
        await handle.execute_update(workflow.PlainSubscription.switch_to_paid, Switch(at))


class BaselineDbos:
    """Client of the DBOS application: a socket with one request at a time on each connection."""

    def __init__(self, port: int, pool: asyncpg.Pool, book: PriceBook) -> None:
        self._port, self._pool, self._book = port, pool, book
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def request(self) -> str:
        return await self.begin(None)

    async def begin(self, paid_from: datetime | None) -> str:
        """Request a subscription; with `paid_from`, one that is already in its first paid month."""
        request = vars(plain_request(self._book))
        request["agreed_terms"] = [vars(term) for term in request["agreed_terms"]]
        answer = await self._call({"request": request, "paid_from": paid_from and paid_from.isoformat()})
        assert isinstance(answer, str)
        return answer

    async def idle_since(self, workflow_id: str) -> datetime:
        query = """
            SELECT max(started_at_epoch_ms) FROM dbos.operation_outputs
             WHERE workflow_uuid = $1 AND function_name = 'DBOS.sleep'
            """
        milliseconds: int = await wait_for(lambda: self._pool.fetchval(query, workflow_id))
        return datetime.fromtimestamp(milliseconds / 1000, UTC)

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()

    async def _call(self, message: Any) -> Any:
        reader, writer = self._idle.pop() if self._idle else await self._connect()
        writer.write(json.dumps(message).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
        if not line:
            raise ConnectionError("The DBOS application closed the connection.")
        answer = json.loads(line)
        self._idle.append((reader, writer))
        return answer

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port)


async def recovery_counts(pool: asyncpg.Pool) -> tuple[int, int]:
    """Return the number of unfinished workflows in DBOS, and the sum of their recovery attempts."""
    row = await pool.fetchrow(
        """
        SELECT count(*) AS unfinished, coalesce(sum(recovery_attempts), 0)::integer AS times
          FROM dbos.workflow_status WHERE status IN ('PENDING', 'ENQUEUED')
        """
    )
    assert row is not None
    return row["unfinished"], row["times"]


def fields(book: PriceBook) -> dict[str, Any]:
    """Return the request that all implementations get, each time for another account."""
    return {
        "customer_id": "customer-48213",
        "region": "KR",
        "platform": "VPC",
        "plan": "basic",
        "members": 25,
        "agreed_terms": agreed_terms(book, datetime.now(UTC)),
        "account": {"group": uuid.uuid4().hex[:22]},
        "admin_id": "minseo.park",
        "password_hash": PASSWORD_HASH,
        "company_name": "Hanbit Books Co., Ltd.",
        "company_phone": "02-1234-5678",
    }


def plain_request(book: PriceBook) -> Request:
    request = fields(book) | {"subscription_id": str(uuid.uuid4())}
    request["account"] = request["account"]["group"]
    request["agreed_terms"] = [Agreement(**term) for term in request["agreed_terms"]]
    return Request(**request)


async def _timer_set_at(client: Client, workflow_id: str) -> datetime:
    """Return when the latest run of a workflow set its timer, by the server's clock."""

    async def latest() -> datetime | None:
        history = await client.get_workflow_handle(workflow_id).fetch_history()
        for event in reversed(history.events):
            if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
                return event.event_time.ToDatetime(UTC)
        return None

    return await wait_for(latest)


async def events_of(client: Client, workflow_id: str) -> AsyncIterator[HistoryEvent]:
    """Yield all events of all runs, except those that only a test clock causes."""
    description = await client.get_workflow_handle(workflow_id).describe()
    run_id = description.raw_description.workflow_execution_info.first_run_id
    while run_id:
        history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        run_id = ""
        for event in history.events:
            if event.event_type not in _TEST_CLOCK_EVENTS:
                yield event
            run_id = event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
