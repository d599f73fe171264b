"""The workflow commands and inputs of a subscription as text lines, for reading and comparison."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory

from activities.reconciliation.history_reader import local_result

from .recorded_effects import first, value

_LONGEST_REFRAIN = 4
_MONTH = re.compile(r"[A-Z][a-z]+ \d{4}")


def described(name: str, runs: Sequence[WorkflowHistory]) -> str:
    """Return the commands of a subscription, run by run, below its name.

    A timer is listed when it fires, because a canceled timer depends on which of two events was first.
    """
    lines = [name]
    for number, run in enumerate(runs, start=1):
        lines += [f"  run {number}", *(f"    {line}" for line in _folded(list(_lines(run.events))))]
    return "\n".join(lines) + "\n\n"


def by_scenario(text: str) -> dict[str, str]:
    """Split concatenated descriptions; return them by scenario name."""
    return {subscription.partition("\n")[0]: subscription for subscription in text.strip().split("\n\n")}


def _lines(events: Sequence[HistoryEvent]) -> Iterator[str]:
    by_id = {event.event_id: event for event in events}
    updates: dict[str, str] = {}
    for event in events:
        match event.WhichOneof("attributes"):
            case "activity_task_scheduled_event_attributes":
                scheduled = event.activity_task_scheduled_event_attributes
                yield " ".join([scheduled.activity_type.name, *_events_in(first(scheduled.input))])
            case "timer_fired_event_attributes":
                started = by_id[event.timer_fired_event_attributes.started_event_id]
                yield f"timer: {_MONTH.sub('a month', value(started.user_metadata.summary))}"
            case "upsert_workflow_search_attributes_event_attributes":
                upserted = event.upsert_workflow_search_attributes_event_attributes.search_attributes
                yield f"search attributes: {', '.join(sorted(upserted.indexed_fields))}"
            case "marker_recorded_event_attributes":
                marker = event.marker_recorded_event_attributes
                if local := local_result(event):
                    name, result = local
                    yield " ".join([f"at once: {name}", *_events_in(value(result[0]))])
                elif marker.marker_name == "core_patch":
                    yield f"patched: {first(marker.details['patch-data'])['id']}"
            case "workflow_execution_signaled_event_attributes":
                yield f"signal {event.workflow_execution_signaled_event_attributes.signal_name}"
            case "workflow_execution_update_accepted_event_attributes":
                accepted = event.workflow_execution_update_accepted_event_attributes
                updates[accepted.protocol_instance_id] = accepted.accepted_request.input.name
                yield f"update {accepted.accepted_request.input.name}"
            case "workflow_execution_update_completed_event_attributes":
                completed = event.workflow_execution_update_completed_event_attributes
                refusal = completed.outcome.failure.application_failure_info.type
                yield f"update {updates[completed.meta.update_id]}: {refusal or 'answered'}"
            case "workflow_execution_continued_as_new_event_attributes":
                yield "continued as new"
            case "workflow_execution_completed_event_attributes":
                yield "completed"
            case "workflow_execution_failed_event_attributes":
                failure = event.workflow_execution_failed_event_attributes.failure
                yield f"failed: {failure.application_failure_info.type}"


def _events_in(argument: Any) -> list[str]:
    """Return the events that a transition records."""
    return [event["event"] for event in argument.get("events", ())] if isinstance(argument, dict) else []


def _folded(lines: list[str]) -> Iterator[str]:
    """Yield the lines with consecutive repetitions folded into one."""
    at = 0
    while at < len(lines):
        length, times = max(_refrains(lines[at:]), key=lambda refrain: refrain[0] * (refrain[1] - 1))
        refrain = lines[at : at + length]
        if times > 1 and length * times > 2:
            yield f"{times} times"
            yield from (f"  {line}" for line in refrain)
        else:
            yield from lines[at : at + 1]
            length = times = 1
        at += length * times


def _refrains(lines: list[str]) -> Iterator[tuple[int, int]]:
    """Yield the possible lengths of a repeated prefix, and its number of consecutive repetitions."""
    for length in range(1, _LONGEST_REFRAIN + 1):
        times = 1
        while lines[:length] == lines[length * times : length * (times + 1)]:
            times += 1
        yield length, times
