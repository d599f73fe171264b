"""Pydantic validation errors as problems with a field, a code and a message."""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from subscription.refusals import Problem, RefusalCode, misfit

T = TypeVar("T", bound=BaseModel)

_OURS = frozenset(RefusalCode)
_MOST_PROBLEMS = 50
_MOST_VALUES = 1_000
_DEEPEST = 8
_LONGEST_PATH = 200
_BY_TYPE: Mapping[str, tuple[RefusalCode, str | None, Mapping[str, str]]] = {
    "missing": (RefusalCode.MISSING_FIELD, None, {}),
    "extra_forbidden": (RefusalCode.UNKNOWN_FIELD, None, {}),
    "literal_error": (RefusalCode.INVALID_VALUE, "EXPECTED", {"expected": "expected"}),
    "enum": (RefusalCode.INVALID_VALUE, "EXPECTED", {"expected": "expected"}),
    "model_type": (RefusalCode.WRONG_TYPE, "OBJECT", {}),
    "dict_type": (RefusalCode.WRONG_TYPE, "OBJECT", {}),
    "tuple_type": (RefusalCode.WRONG_TYPE, "LIST", {}),
    "list_type": (RefusalCode.WRONG_TYPE, "LIST", {}),
    "int_type": (RefusalCode.WRONG_TYPE, "WHOLE_NUMBER", {}),
    "string_type": (RefusalCode.WRONG_TYPE, "TEXT", {}),
    "bool_type": (RefusalCode.WRONG_TYPE, "TRUTH", {}),
    "greater_than_equal": (RefusalCode.INVALID_VALUE, "AT_LEAST", {"least": "ge"}),
    "less_than_equal": (RefusalCode.INVALID_VALUE, "AT_MOST", {"most": "le"}),
    "string_too_short": (RefusalCode.INVALID_VALUE, "TOO_SHORT", {"least": "min_length"}),
    "string_too_long": (RefusalCode.INVALID_VALUE, "TOO_LONG", {"most": "max_length"}),
}
"""Pydantic's types of errors: our code, its reason, and where pydantic's context has its parameters."""
_BOUNDS = frozenset({"AT_LEAST", "AT_MOST"})
"""The reasons whose sentence has a number."""
# Control, surrogate, private and unassigned characters; those that break lines or only steer the writing.
_NOT_FOR_NAMES = frozenset({"Cc", "Cs", "Co", "Cn", "Cf", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")
"""Without these some languages, and many emoji, cannot be written."""
# Letters and symbols by their category, and yet nothing is seen of them.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def parse_strict(shape: type[T], data: object, context: Mapping[str, Any] | None = None) -> T:
    """Read what a caller sent as `shape`, without a field too many, every text in NFC.

    Raises pydantic's `ValidationError`, which `problems_from` puts into words.
    """
    return shape.model_validate(composed(data), context=dict(context or {}), extra="forbid")


def composed(data: Any) -> Any:
    """Return the data with each text in NFC: some keyboards and file systems send letters in parts (NFD).

    Only the values, not the names of fields, and no deeper than any shape of ours is.
    """
    return _composed(data, _DEEPEST)


def _composed(data: Any, deeper: int) -> Any:
    match data:
        case str():
            return data if data.isascii() else unicodedata.normalize("NFC", data)
        case dict() if deeper:
            return {name: _composed(value, deeper - 1) for name, value in data.items()}
        case list() if deeper:
            return [_composed(value, deeper - 1) for value in data]
        case _:
            return data


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


def require_storable(text: str) -> str:
    """The text as it is, for a field of a model."""
    if not is_storable(text):
        raise misfit(RefusalCode.INVALID_VALUE, reason="NULL_CHARACTER")
    return text


def problems_from(error: ValidationError) -> tuple[Problem, ...]:
    """All that was wrong, field by field (R9), without the values, which may be personal data.

    Of what has more faults than anybody would read, the first 50 and how many more there are.
    """
    found = error.errors(include_url=False, include_input=False)
    problems = tuple(
        problem_from(one["type"], one["loc"], one["msg"], one.get("ctx", {}))
        for one in found[:_MOST_PROBLEMS]
    )
    if len(found) > _MOST_PROBLEMS:
        more = len(found) - _MOST_PROBLEMS
        problems += (Problem.of(RefusalCode.INVALID_VALUE, reason="MORE_PROBLEMS", more=more),)
    return problems


def redact_field_names(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems as they may be kept: a name that a caller made up for a field may be personal data."""
    return tuple(
        problem.model_copy(update={"field": None}) if problem.code == RefusalCode.UNKNOWN_FIELD else problem
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


def problem_from(kind: str, path: tuple[int | str, ...], text: str, context: Mapping[str, Any]) -> Problem:
    """One finding of pydantic in our words: its type, where it was, its own words and what they are about."""
    field = _cut(".".join(str(part) for part in path)) or None
    if kind in _OURS:
        return Problem(field=field, code=kind, **context)
    if kind in _BY_TYPE:
        code, reason, names = _BY_TYPE[kind]
        values = {ours: context[theirs] for ours, theirs in names.items()}
        if reason in _BOUNDS and not all(isinstance(value, int) for value in values.values()):  # of days
            return Problem.of(RefusalCode.INVALID_VALUE, field, reason="OTHER", found=_lowered(text))
        return Problem.of(code, field, reason=reason, **values)
    of_type = kind.endswith("_type") or kind.startswith(("model_", "date", "is_instance"))
    code = RefusalCode.WRONG_TYPE if of_type else RefusalCode.INVALID_VALUE
    return Problem.of(code, field, reason="OTHER", found=_lowered(text))


def problem_in(error: PydanticCustomError, field: str | None = None) -> Problem:
    """The problem that a validator of ours has raised, where it was called directly."""
    return problem_from(error.type, (field,) if field else (), error.message(), error.context or {})


def _cut(path: str) -> str:
    """A name that a caller made up for a field can be as long as what may be sent at all."""
    return path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]}…"


def _lowered(text: str) -> str:
    return (text[:1].lower() + text[1:]).removeprefix("input ").replace("should be", "must be", 1)
