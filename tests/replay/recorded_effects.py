"""Activities of a recorded run, with arguments and results parsed by the current models."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from support.activity_types import ACTIVITY_TYPES
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.client import WorkflowHistory

from activities.reconciliation.history_reader import HistoryTransitions, local_result
from adapters.temporal.data_converter import data_converter
from subscription.activity_contracts import Provisioned, ProvisionInput, Recorded
from subscription.model import Frozen


@dataclass(frozen=True)
class Effect:
    """An activity that a run scheduled; `result` is None if it did not complete.

    The history of a local activity has only the result: `argument` is derived from it, or None.
    """

    event_id: int
    name: str
    argument: Frozen | None
    result: Any
    local: bool = False


def effects_of(run: WorkflowHistory) -> list[Effect]:
    """Return the run's activities in the order of scheduling; raise `ValueError` if one cannot be parsed."""
    results = dict(_results(run))
    transcript = HistoryTransitions()
    effects = []
    for event in run.events:
        if event.HasField("workflow_execution_started_event_attributes"):
            given = first(event.workflow_execution_started_event_attributes.input)
            transcript.set_run_input(given)
        elif event.HasField("activity_task_scheduled_event_attributes"):
            scheduled = event.activity_task_scheduled_event_attributes
            name = scheduled.activity_type.name
            argument_type, result_type = ACTIVITY_TYPES[name]
            argument = first(scheduled.input, argument_type)
            payloads = results.get(event.event_id)
            result = None if payloads is None else first(payloads, result_type)
            if isinstance(result, Recorded):
                transcript.add_transition(argument)
            effects.append(Effect(event.event_id, name, argument, result))
        elif local := local_result(event):
            name, local_payloads = local
            result = value(local_payloads[0], ACTIVITY_TYPES[name].result)
            effects.append(
                Effect(event.event_id, name, _argument_from(result, given, transcript), result, local=True)
            )
    return effects


def _argument_from(result: Any, given: Any, transcript: HistoryTransitions) -> Frozen | None:
    match result:
        case Recorded(events=events):
            transcript.add_deadline_events(events)
            return transcript.transitions[-1]
        case Provisioned(state=state):
            transcript.set_provisioned(state)
            assert state.started_at is not None
            return ProvisionInput(
                subscription_id=state.subscription_id, request=given, accepted_at=state.started_at
            )
    return None


def _results(run: WorkflowHistory) -> Iterator[tuple[int, Payloads]]:
    for event in run.events:
        if event.HasField("activity_task_completed_event_attributes"):
            completed = event.activity_task_completed_event_attributes
            yield completed.scheduled_event_id, completed.result


def first(payloads: Payloads, hint: Any = None) -> Any:
    """Return the first value, or None."""
    return value(payloads.payloads[0], hint) if payloads.payloads else None


def value(payload: Payload, hint: Any = None) -> Any:
    return data_converter().payload_converter.from_payload(payload, hint)
