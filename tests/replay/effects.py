"""What a recorded run asked of the world, and what it heard, read with today's models."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from temporalio.api.common.v1 import Payload, Payloads
from temporalio.client import WorkflowHistory

from subscription.effects import ACTIVITIES
from subscription.model import Frozen
from workflows.converter import data_converter


@dataclass(frozen=True)
class Effect:
    """An activity that a run scheduled; `result` is None if it did not complete, whatever came of it."""

    event_id: int
    name: str
    argument: Frozen
    result: Any


def effects_of(run: WorkflowHistory) -> list[Effect]:
    """The run's effects in the order in which it asked for them; `ValueError` for what cannot be read."""
    results = dict(_results(run))
    effects = []
    for event in run.events:
        if event.HasField("activity_task_scheduled_event_attributes"):
            scheduled = event.activity_task_scheduled_event_attributes
            name = scheduled.activity_type.name
            argument_type, result_type = ACTIVITIES[name]
            result = results.get(event.event_id)
            effects.append(
                Effect(
                    event.event_id,
                    name,
                    first(scheduled.input, argument_type),
                    None if result is None else first(result, result_type),
                )
            )
    return effects


def _results(run: WorkflowHistory) -> Iterator[tuple[int, Payloads]]:
    for event in run.events:
        if event.HasField("activity_task_completed_event_attributes"):
            completed = event.activity_task_completed_event_attributes
            yield completed.scheduled_event_id, completed.result


def first(payloads: Payloads, hint: Any = None) -> Any:
    """The first value; None if there is none."""
    return value(payloads.payloads[0], hint) if payloads.payloads else None


def value(payload: Payload, hint: Any = None) -> Any:
    return data_converter().payload_converter.from_payload(payload, hint)
