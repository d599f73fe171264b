"""The argument of the next run leaves out fields that are None, so None must be the default of each."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from support.scenario_builder import BOOK, ScenarioBuilder

from workflows.run_input import (
    MOST_RUN_IDS,
    CleanupInput,
    ResumeInput,
    parse_run_input,
    run_argument,
    with_run,
)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models of an annotation, and the models of their fields."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_in(field.annotation)
    for part in get_args(annotation):
        yield from models_in(part)


@pytest.mark.parametrize("stage", [ResumeInput, CleanupInput])
def test_every_nullable_field_defaults_to_none(stage: type[BaseModel]) -> None:
    assert [
        f"{model.__name__}.{name}"
        for model in set(models_in(stage))
        for name, field in model.model_fields.items()
        if type(None) in get_args(field.annotation) and (field.is_required() or field.default is not None)
    ] == []


def test_next_run_reads_what_the_argument_leaves_out() -> None:
    paid = ScenarioBuilder.paid("2027-01-10", "MONTHLY")
    resumed = ResumeInput(
        state=paid.state,
        book=BOOK,
        run_ids=("run-1",),
        timeline=tuple(paid.timeline),
        request_fingerprint="of-the-request",
    )
    argument = run_argument(resumed)
    assert "renewal" not in argument["state"]
    assert parse_run_input(argument) == resumed


def test_r31_run_ids_are_bounded_and_dropped_ones_are_counted() -> None:
    ids = tuple(f"run-{number}" for number in range(MOST_RUN_IDS))
    assert with_run(ids[:-1], 0, ids[-1]) == (ids, 0)
    assert with_run(ids, 3, "latest") == ((*ids[1:], "latest"), 4)
