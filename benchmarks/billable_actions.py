"""Billable actions of Temporal Cloud, counted from a history by the published rules.

https://docs.temporal.io/evaluate/cloud/actions, as of 2026-11. Actions that leave no event in the history are
not counted: queries, activity heartbeats and rejected updates.
"""

from collections.abc import Iterable

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

# A continue-as-new is counted by the start of the next run, so its own event is not in this set.
_ONE_EACH = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
    EventType.EVENT_TYPE_TIMER_STARTED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
}
# The SDK sets this search attribute for `workflow.patched`, in a separate upsert.
_CHANGE_VERSION = "TemporalChangeVersion"


def actions_in(history: Iterable[HistoryEvent]) -> int:
    """Return the number of billable actions in the events of one or several runs, in order."""
    actions, marked_task = 0, 0
    for event in history:
        match event.event_type:
            case EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES if _is_patch_marker(event):
                pass
            case kind if kind in _ONE_EACH:
                actions += 1
            case EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                actions += event.activity_task_started_event_attributes.attempt - 1
            case EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                metered = event.workflow_task_completed_event_attributes.metering_metadata
                actions += min(metered.nonfirst_local_activity_execution_attempts, 100)
            case EventType.EVENT_TYPE_MARKER_RECORDED:
                # All local activities of one workflow task count as one action.
                task = event.marker_recorded_event_attributes.workflow_task_completed_event_id
                actions += task != marked_task
                marked_task = task
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            marked_task = 0
    return actions


def _is_patch_marker(event: HistoryEvent) -> bool:
    upserted = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
    return set(upserted) == {_CHANGE_VERSION}
