"""Pydantic's findings as ours: every problem at once, each with field, code and a sentence."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from subscription.refusals import Code, Problem

T = TypeVar("T", bound=BaseModel)

_OURS = frozenset(Code)


def check(shape: type[T], data: object, context: Mapping[str, Any] | None = None) -> T:
    """Read `data` as `shape`; raises pydantic's `ValidationError`, which `problems_of` puts into words."""
    return shape.model_validate(data, context=dict(context or {}))


def problems_of(error: ValidationError) -> tuple[Problem, ...]:
    """All that was wrong, field by field (R9), without the values, which may be personal data."""
    return tuple(
        _problem(found["type"], found["loc"], found["msg"], found.get("ctx", {}))
        for found in error.errors(include_url=False, include_input=False)
    )


def _problem(kind: str, path: tuple[int | str, ...], text: str, context: Mapping[str, Any]) -> Problem:
    field = ".".join(str(part) for part in path) or None
    if kind in _OURS:
        return Problem(field=field, code=kind, message=text)
    if kind == "missing":
        return Problem(field=field, code=Code.MISSING_FIELD, message="is missing")
    if kind == "extra_forbidden":
        return Problem(field=field, code=Code.UNKNOWN_FIELD, message="is not a field that is known here")
    if kind in ("literal_error", "enum"):
        return Problem(field=field, code=Code.INVALID_VALUE, message=f"must be {context['expected']}")
    if kind.endswith("_type") or kind.startswith(("model_", "date", "is_instance")):
        return Problem(field=field, code=Code.WRONG_TYPE, message=_lowered(text))
    return Problem(field=field, code=Code.INVALID_VALUE, message=_lowered(text))


def _lowered(text: str) -> str:
    return (text[:1].lower() + text[1:]).removeprefix("input ").replace("should be", "must be", 1)
