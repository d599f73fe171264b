"""Data of a newer release, with unknown fields, can be parsed by this release.

During an upgrade both releases run; after a rollback, the earlier release reads the data of the later one.
"""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_jsonable_python
from support.activity_types import ACTIVITY_TYPES
from temporalio.client import WorkflowHistory

from workflows.run_input import parse_run_input

from .corpus import recorded_scenarios, releases
from .recorded_effects import Effect, effects_of, first


@pytest.fixture(scope="module")
def runs() -> list[WorkflowHistory]:
    return [run for subscription in recorded_scenarios(releases()[-1]) for run in subscription.runs]


@pytest.fixture(scope="module")
def effects(runs: list[WorkflowHistory]) -> list[Effect]:
    return [effect for run in runs for effect in effects_of(run) if effect.result]


def newer(value: Any) -> Any:
    """Return the value as JSON, with an additional field in every object."""
    if isinstance(value, BaseModel):
        fields = {name: newer(getattr(value, name)) for name in type(value).model_fields}
        return {**fields, "of_a_newer_release": ["anything"]}
    if isinstance(value, Mapping):
        return {key: newer(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [newer(each) for each in value]
    return to_jsonable_python(value)


@pytest.mark.parametrize("name", sorted(ACTIVITY_TYPES))
def test_newer_activity_values_are_readable(name: str, effects: list[Effect]) -> None:
    argument_type, result_type = ACTIVITY_TYPES[name]
    recorded = [effect for effect in effects if effect.name == name]
    for effect in recorded[:20]:
        values = [(result_type, effect.result)]
        if effect.argument is not None:  # the history has no arguments of local activities
            values.append((argument_type, effect.argument))
        for hint, value in values:
            assert TypeAdapter(hint).validate_json(json.dumps(newer(value))) == value


def test_newer_continue_as_new_input_is_readable(runs: list[WorkflowHistory]) -> None:
    handed_on = [
        first(event.workflow_execution_continued_as_new_event_attributes.input)
        for run in runs
        for event in run.events
        if event.HasField("workflow_execution_continued_as_new_event_attributes")
    ]
    stages = [stage for stage in map(parse_run_input, handed_on) if stage]
    assert len(stages) > 50
    for stage in stages:
        assert parse_run_input(newer(stage)) == stage
