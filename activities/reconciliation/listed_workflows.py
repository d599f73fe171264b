"""Running workflows in Temporal's lists, by ranges of subscription IDs.

A page of the database and the list of the same range of IDs show what is missing on either side. Ranges are
consecutive, so no list needs to be sorted or stored.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from pydantic_core import from_json
from temporalio import activity
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest
from temporalio.client import Client

from adapters.temporal.visibility import quote_visibility_value
from subscription.ids import WORKFLOW_ID_PREFIX
from subscription.search_attributes import NEEDS_ATTENTION_NAME, search_attribute_values
from subscription.state import State, Subscription

_PAGE_SIZE = 1000
# The server sets it while the tasks of a workflow keep failing.
_REPORTED_PROBLEMS = "TemporalReportedProblems"
# Not every visibility store keeps microseconds.
_PRECISION = timedelta(milliseconds=1)


@dataclass(frozen=True)
class ListedWorkflow:
    """A running workflow as Temporal lists it. The SDK's own class decodes every attribute twice."""

    info: WorkflowExecutionInfo

    @property
    def subscription_id(self) -> str:
        return self.info.execution.workflow_id.removeprefix(WORKFLOW_ID_PREFIX)

    @property
    def started_at(self) -> datetime:
        return self.info.start_time.ToDatetime(tzinfo=UTC)

    @property
    def is_cleanup_run(self) -> bool:
        """Return whether this is the cleanup run of an erased subscription, which deletes the other runs."""
        return self._attributes.get("SubscriptionState") == State.ERASED

    @cached_property
    def _attributes(self) -> dict[str, Any]:
        fields = self.info.search_attributes.indexed_fields
        return {name: from_json(payload.data) for name, payload in fields.items()}

    def agrees(self, state: Subscription, changed_since: datetime | None) -> bool:
        """Return whether the list shows this state, no problem, and no run that started since then.

        Such a run may result from a reset or a manual start.
        """
        return (
            self.info.status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING
            and (changed_since is None or self.started_at < changed_since)
            and not self._attributes.get(NEEDS_ATTENTION_NAME)
            and not self._attributes.get(_REPORTED_PROBLEMS)
            and all(
                _is_equal(self._attributes.get(name), value)
                for name, value in search_attribute_values(state).items()
            )
        )


async def list_range(client: Client, after: str, last: str | None) -> AsyncIterator[Sequence[ListedWorkflow]]:
    """Yield the pages of running subscription workflows with `after` < ID <= `last`; None: without end."""
    query = "WorkflowType = 'SubscriptionWorkflow' AND CloseTime IS NULL "
    query += f"AND TaskQueue = {quote_visibility_value(activity.info().task_queue)}"
    if after:
        query += f" AND WorkflowId > {quote_visibility_value(WORKFLOW_ID_PREFIX + after)}"
    if last is not None:
        query += f" AND WorkflowId <= {quote_visibility_value(WORKFLOW_ID_PREFIX + last)}"
    request = ListWorkflowExecutionsRequest(namespace=client.namespace, page_size=_PAGE_SIZE, query=query)
    while True:
        page = await client.workflow_service.list_workflow_executions(request, retry=True)
        yield [ListedWorkflow(info) for info in page.executions]
        if not page.next_page_token:
            return
        request.next_page_token = page.next_page_token


def _is_equal(listed: Any, expected: str | datetime | None) -> bool:
    if isinstance(expected, datetime) and isinstance(listed, str):
        return abs(datetime.fromisoformat(listed) - expected) < _PRECISION
    return bool(listed == expected)
