"""Pydantic's findings as ours: every problem at once, each with field, code and a sentence."""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from subscription.refusals import Code, Problem

T = TypeVar("T", bound=BaseModel)

_OURS = frozenset(Code)
_MOST_PROBLEMS = 50
_MOST_VALUES = 1_000
_LONGEST_PATH = 200
_WORDS = {
    "model_type": "must be an object of named fields",
    "dict_type": "must be an object of named fields",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "int_type": "must be a whole number, without quotes",
    "string_type": "must be text, in quotes if it looks like a number",
    "bool_type": "must be true or false",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "string_too_short": "must have {min_length} characters or more",
    "string_too_long": "must have {max_length} characters or fewer",
}
# Control, surrogate, private and unassigned characters; those that break lines or only steer the writing.
_NOT_FOR_NAMES = frozenset({"Cc", "Cs", "Co", "Cn", "Cf", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")
"""Without these some languages, and many emoji, cannot be written."""
# Letters and symbols by their category, and yet nothing is seen of them.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def check(shape: type[T], data: object, context: Mapping[str, Any] | None = None) -> T:
    """Read what a caller sent as `shape`, without a field too many.

    Raises pydantic's `ValidationError`, which `problems_of` puts into words.
    """
    return shape.model_validate(data, context=dict(context or {}), extra="forbid")


def has_too_many_values(data: object) -> bool:
    """Whether there is more in it than anybody means, so that reading it would take longer than it may.

    Finding that out takes no longer than reading what is not too much.
    """
    counted, unseen = 0, [data]
    while unseen:
        entry = unseen.pop()
        if not isinstance(entry, Mapping | list):
            continue
        counted += len(entry)
        if counted > _MOST_VALUES:
            return True
        unseen.extend(entry.values() if isinstance(entry, Mapping) else entry)
    return False


def storable(text: str) -> str:
    """The text as it is, for a field of a model."""
    if not is_storable(text):
        raise PydanticCustomError("INVALID_VALUE", "must not have null characters")
    return text


def problems_of(error: ValidationError) -> tuple[Problem, ...]:
    """All that was wrong, field by field (R9), without the values, which may be personal data.

    Of what has more faults than anybody would read, the first 50 and how many more there are.
    """
    found = error.errors(include_url=False, include_input=False)
    problems = tuple(
        problem_of(one["type"], one["loc"], one["msg"], one.get("ctx", {})) for one in found[:_MOST_PROBLEMS]
    )
    if len(found) > _MOST_PROBLEMS:
        more = len(found) - _MOST_PROBLEMS
        problems += (Problem(code=Code.INVALID_VALUE, message=f"has {more:,} more problems"),)
    return problems


def without_callers_words(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems as they may be kept: a name that a caller made up for a field may be personal data."""
    return tuple(
        problem.model_copy(update={"field": None}) if problem.code == Code.UNKNOWN_FIELD else problem
        for problem in problems
    )


def has_control_characters(text: str) -> bool:
    """Whether there is something invisible in it that databases refuse or that turns the writing around."""
    return any(unicodedata.category(c) in _NOT_FOR_NAMES and c not in _JOINERS for c in text)


def is_blank(text: str) -> bool:
    """Whether nothing of it would be seen."""
    return all(c.isspace() or c in _BLANK or unicodedata.category(c)[0] in "CM" for c in text)


def is_storable(text: str) -> bool:
    """Whether databases and servers can hold it: no null character, and nothing that is not Unicode."""
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def problem_of(kind: str, path: tuple[int | str, ...], text: str, context: Mapping[str, Any]) -> Problem:
    """One finding of pydantic in our words: its type, where it was, its own words and what they are about."""
    field = _cut(".".join(str(part) for part in path)) or None
    if kind in _OURS:
        return Problem(field=field, code=kind, message=text)
    if kind == "missing":
        return Problem(field=field, code=Code.MISSING_FIELD, message="is missing")
    if kind == "extra_forbidden":
        return Problem(field=field, code=Code.UNKNOWN_FIELD, message="is not a field that is known here")
    if kind in ("literal_error", "enum"):
        return Problem(field=field, code=Code.INVALID_VALUE, message=f"must be {context['expected']}")
    of_type = kind.endswith("_type") or kind.startswith(("model_", "date", "is_instance"))
    code = Code.WRONG_TYPE if of_type else Code.INVALID_VALUE
    words = _WORDS[kind].format_map(context) if kind in _WORDS else _lowered(text)
    return Problem(field=field, code=code, message=words)


def _cut(path: str) -> str:
    """A name that a caller made up for a field can be as long as what may be sent at all."""
    return path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]}…"


def _lowered(text: str) -> str:
    return (text[:1].lower() + text[1:]).removeprefix("input ").replace("should be", "must be", 1)
