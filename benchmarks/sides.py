"""The two that are compared, asked for the same: a request, a switch to paid, and where they are asleep."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Protocol

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy

from benchmarks import plain
from benchmarks.plain_activities import Agreement, Request, Start, Switch
from starter.client import SubscriptionClient
from subscription.calendar import day_of
from subscription.catalogue import PriceBook
from subscription.commands import ContractTerm
from subscription.effects import WORKFLOW_ID_PREFIX
from subscription.simulation import agreed_terms

_OF_TEST_CLOCKS = (
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
)
_POLL_SECONDS = 0.005
_PASSWORD_HASH = (
    "$argon2id$v=19$m=65536,t=3,p=4$c2FtcGxlc2FsdHNhbXBsZQ$c2FtcGxlaGFzaHNhbXBsZWhhc2hzYW1wbGVoYXNoc2E"
)


class Side(Protocol):
    async def request(self) -> str:
        """Request a subscription; the id of its workflow, when the answer is there."""

    async def switch_to_paid(self, workflow_id: str, at: datetime) -> None: ...


class Ours:
    def __init__(self, client: SubscriptionClient, book: PriceBook) -> None:
        self._client, self._book = client, book

    async def request(self) -> str:
        answer = await self._client.request(_fields(self._book) | {"request_id": str(uuid.uuid4())})
        return WORKFLOW_ID_PREFIX + answer.subscription_id

    async def switch_to_paid(self, workflow_id: str, at: datetime) -> None:
        subscription_id = workflow_id.removeprefix(WORKFLOW_ID_PREFIX)
        await self._client.switch_to_paid(subscription_id, day_of(at), ContractTerm.ANNUAL)


class Plain:
    def __init__(self, temporal: Client, book: PriceBook) -> None:
        self._temporal, self._book = temporal, book

    async def request(self) -> str:
        fields: dict[str, Any] = _fields(self._book) | {"subscription_id": str(uuid.uuid4())}
        fields["account"] = fields["account"]["group"]
        fields["agreed_terms"] = [Agreement(**term) for term in fields["agreed_terms"]]
        request = Request(**fields)
        workflow_id = "plain-" + request.subscription_id
        await self._temporal.execute_update_with_start_workflow(
            plain.PlainSubscription.request,
            start_workflow_operation=WithStartWorkflowOperation(
                plain.PlainSubscription.run,
                Start(request),
                id=workflow_id,
                task_queue=plain.TASK_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            ),
        )
        return workflow_id

    async def switch_to_paid(self, workflow_id: str, at: datetime) -> None:
        handle = self._temporal.get_workflow_handle(workflow_id)
        await handle.execute_update(plain.PlainSubscription.switch_to_paid, Switch(at))


def _fields(book: PriceBook) -> dict[str, Any]:
    return {
        "customer_id": "customer-48213",
        "region": "KR",
        "platform": "VPC",
        "plan": "basic",
        "members": 25,
        "agreed_terms": agreed_terms(book, datetime.now(UTC)),
        "account": {"group": uuid.uuid4().hex[:22]},
        "admin_id": "minseo.park",
        "password_hash": _PASSWORD_HASH,
        "company_name": "Hanbit Books Co., Ltd.",
        "company_phone": "02-1234-5678",
    }


async def asleep_since(client: Client, workflow_id: str) -> datetime:
    """When the latest run of a workflow set its timer, by the server's clock; waits until it has."""
    while True:
        history = await client.get_workflow_handle(workflow_id).fetch_history()
        for event in reversed(history.events):
            if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
                return event.event_time.ToDatetime(UTC)
        await asyncio.sleep(_POLL_SECONDS)


async def events_of(client: Client, workflow_id: str) -> AsyncIterator[HistoryEvent]:
    """All events of all runs, without those that only a test clock causes."""
    description = await client.get_workflow_handle(workflow_id).describe()
    run_id = description.raw_description.workflow_execution_info.first_run_id
    while run_id:
        history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        run_id = ""
        for event in history.events:
            if event.event_type not in _OF_TEST_CLOCKS:
                yield event
            run_id = event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
