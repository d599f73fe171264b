"""Billable actions of Temporal Cloud, counted from a history by the published rules.

https://docs.temporal.io/evaluate/cloud/actions, as of 2026-11. What a history does not show is not counted:
queries, heartbeats of activities and refused updates.
"""

from collections.abc import Iterable

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

# The start of a run counts, so the continue-as-new before it does not once more.
_ONE_EACH = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
    EventType.EVENT_TYPE_TIMER_STARTED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
}
# An attribute that the SDK sets for `workflow.patched`, in an upsert of its own.
_VERSIONS = "TemporalChangeVersion"


def actions_in(history: Iterable[HistoryEvent]) -> int:
    """The billable actions of the events of one or several runs, in their order."""
    actions, marked_task = 0, 0
    for event in history:
        match event.event_type:
            case EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES if _is_of_a_patch(event):
                pass
            case kind if kind in _ONE_EACH:
                actions += 1
            case EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                actions += event.activity_task_started_event_attributes.attempt - 1
            case EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                metered = event.workflow_task_completed_event_attributes.metering_metadata
                actions += min(metered.nonfirst_local_activity_execution_attempts, 100)
            case EventType.EVENT_TYPE_MARKER_RECORDED:
                # All that one workflow task records count as one, however many local activities they are.
                task = event.marker_recorded_event_attributes.workflow_task_completed_event_id
                actions += task != marked_task
                marked_task = task
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            marked_task = 0
    return actions


def _is_of_a_patch(event: HistoryEvent) -> bool:
    upserted = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
    return set(upserted) == {_VERSIONS}
