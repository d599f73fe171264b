"""Pydantic validation errors as problems with a field, a code and a message."""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from subscription.refusals import Problem, RefusalCode, validation_error

T = TypeVar("T", bound=BaseModel)

_OWN_CODES = frozenset(RefusalCode)
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
"""Pydantic error types: worksub's code, its reason, and the names of its parameters in pydantic's context."""
_BOUNDS = frozenset({"AT_LEAST", "AT_MOST"})
"""The reasons whose message needs a number."""
# Control, surrogate, private-use and unassigned characters; line breaks and formatting characters.
_NOT_FOR_NAMES = frozenset({"Cc", "Cs", "Co", "Cn", "Cf", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")
"""Zero-width joiners, which some languages and many emoji need."""
# Invisible characters whose Unicode category is that of a visible character.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def parse_strict(model: type[T], data: object, context: Mapping[str, Any] | None = None) -> T:
    """Parse external input as `model`: reject unknown fields, and normalize every text to NFC.

    Raises pydantic's `ValidationError`, which `problems_from` converts to problems.
    """
    return model.model_validate(composed(data), context=dict(context or {}), extra="forbid")


def composed(data: Any) -> Any:
    """Return the data with each text in NFC: some keyboards and file systems decompose characters (NFD).

    Field names are not normalized, nor are values that are nested more deeply than any model.
    """
    return _composed(data, _DEEPEST)


def _composed(data: Any, levels: int) -> Any:
    match data:
        case str():
            return data if data.isascii() else unicodedata.normalize("NFC", data)
        case dict() if levels:
            return {name: _composed(value, levels - 1) for name, value in data.items()}
        case list() if levels:
            return [_composed(value, levels - 1) for value in data]
        case _:
            return data


def has_too_many_values(data: object) -> bool:
    """Return whether the input has more than 1,000 values. Checked before validation, to bound its cost.

    The check itself stops at the limit, so it never takes longer than for an input of allowed size.
    """
    count, pending = 0, [data]
    while pending:
        entry = pending.pop()
        if not isinstance(entry, Mapping | list):
            continue
        count += len(entry)
        if count > _MOST_VALUES:
            return True
        pending.extend(entry.values() if isinstance(entry, Mapping) else entry)
    return False


def require_storable(text: str) -> str:
    """Return the text unchanged, or raise if it cannot be stored. A validator for fields of models."""
    if not is_storable(text):
        raise validation_error(RefusalCode.INVALID_VALUE, reason="NULL_CHARACTER")
    return text


def problems_from(error: ValidationError) -> tuple[Problem, ...]:
    """Return the problems field by field (R9), without the values, which may be personal data.

    At most 50 problems are returned, and then the number of the others.
    """
    details = error.errors(include_url=False, include_input=False)
    problems = tuple(
        problem_from(detail["type"], detail["loc"], detail["msg"], detail.get("ctx", {}))
        for detail in details[:_MOST_PROBLEMS]
    )
    if len(details) > _MOST_PROBLEMS:
        more = len(details) - _MOST_PROBLEMS
        problems += (Problem.of(RefusalCode.INVALID_VALUE, reason="MORE_PROBLEMS", more=more),)
    return problems


def redact_field_names(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems without unknown field names, which may be personal data, for storage."""
    return tuple(
        problem.model_copy(update={"field": None}) if problem.code == RefusalCode.UNKNOWN_FIELD else problem
        for problem in problems
    )


def has_control_characters(text: str) -> bool:
    """Return whether the text has control or formatting characters, such as NUL or a bidi override."""
    return any(unicodedata.category(c) in _NOT_FOR_NAMES and c not in _JOINERS for c in text)


def is_blank(text: str) -> bool:
    """Return whether the text has no visible character."""
    return all(c.isspace() or c in _BLANK or unicodedata.category(c)[0] in "CM" for c in text)


def is_storable(text: str) -> bool:
    """Return whether PostgreSQL and Temporal can store the text: no NUL character and no surrogates."""
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def problem_from(kind: str, path: tuple[int | str, ...], text: str, context: Mapping[str, Any]) -> Problem:
    """Convert one pydantic error to a problem: its type, location, message and context."""
    field = _truncate(".".join(str(part) for part in path)) or None
    if kind in _OWN_CODES:
        return Problem(field=field, code=kind, **context)
    if kind in _BY_TYPE:
        code, reason, names = _BY_TYPE[kind]
        values = {parameter: context[name] for parameter, name in names.items()}
        # The bounds of a date are dates, not numbers.
        if reason in _BOUNDS and not all(isinstance(value, int) for value in values.values()):
            return Problem.of(RefusalCode.INVALID_VALUE, field, reason="OTHER", found=text)
        return Problem.of(code, field, reason=reason, **values)
    is_type_error = kind.endswith("_type") or kind.startswith(("model_", "date", "is_instance"))
    code = RefusalCode.WRONG_TYPE if is_type_error else RefusalCode.INVALID_VALUE
    return Problem.of(code, field, reason="OTHER", found=text)


def problem_in(error: PydanticCustomError, field: str | None = None) -> Problem:
    """Return the problem of an error raised by one of worksub's validators, when it is called directly."""
    return problem_from(error.type, (field,) if field else (), error.message(), error.context or {})


def _truncate(path: str) -> str:
    """Truncate a path. The name of an unknown field can be as long as the whole input."""
    return path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]}…"
