"""A listed workflow that agrees with the database, and each way in which it may not."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import WorkflowExecutionStatus as Status
from temporalio.api.workflow.v1 import WorkflowExecutionInfo

from activities.reconciliation.listed_workflows import ListedWorkflow
from subscription.business_calendar import KST
from subscription.state import State, Subscription

STARTED = datetime(2027, 1, 10, 9, tzinfo=KST)
TRIAL_ENDS = datetime(2027, 2, 9, 9, 0, 0, 123_456, tzinfo=KST)
STATE = Subscription(
    subscription_id="s",
    customer_id="C-1",
    region="KR",
    platform="VPC",
    plan="basic",
    members=10,
    state=State.TRIAL,
    started_at=STARTED,
    trial_ends_at=TRIAL_ENDS,
    grace_ends_at=TRIAL_ENDS + timedelta(days=30),
    sequence=1,
)
LISTED = {
    "SubscriptionState": "TRIAL",
    "Access": "FULL",
    "Plan": "basic",
    "CustomerId": "C-1",
    # The same instant, as a server returns it that keeps milliseconds in UTC.
    "NextDeadline": "2027-02-09T00:00:00.123Z",
    "TrialEndsAt": "2027-02-09T00:00:00.123Z",
    "BuildIds": ["unversioned"],
}


def agrees(
    changed_since: datetime | None = None, status: Status.ValueType | None = None, **changes: Any
) -> bool:
    info = WorkflowExecutionInfo(status=status or Status.WORKFLOW_EXECUTION_STATUS_RUNNING)
    info.start_time.FromDatetime(STARTED)
    for name, value in (LISTED | changes).items():
        info.search_attributes.indexed_fields[name].CopyFrom(Payload(data=json.dumps(value).encode()))
    return ListedWorkflow(info).agrees(STATE, changed_since)


def test_same_state_agrees() -> None:
    assert agrees()
    assert agrees(changed_since=STARTED + timedelta(seconds=1), NeedsAttention=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"Plan": "premium"},
        {"Term": "ANNUAL"},
        {"CustomerId": None},
        {"TrialEndsAt": "2027-02-09T00:00:01.123Z"},
        {"NeedsAttention": True},
        {"TemporalReportedProblems": ["category=WorkflowTaskFailed"]},
        {"status": Status.WORKFLOW_EXECUTION_STATUS_PAUSED},
        {"changed_since": STARTED},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_difference_does_not_agree(changes: dict[str, Any]) -> None:
    assert not agrees(**changes)
