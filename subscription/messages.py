"""Message templates with typed parameters, and their English format.

A template refers to its parameters as `%(date)s`. The name of a parameter determines its kind, and the kind
determines its format in each language. The English templates are also the msgids of the translations.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Protocol, assert_never

from pydantic import Field

from subscription.model import Frozen

Parameter = int | str | tuple[str, ...]
"""A JSON value; dates and times are in ISO 8601."""

Parameters = Mapping[str, Parameter]
Value = Parameter | date | datetime | Sequence[str]


class Kind(StrEnum):
    DAY = "DAY"
    END_DAY = "END_DAY"
    """The half-open end of a period."""
    MONTH = "MONTH"
    MOMENT = "MOMENT"
    NOT_BEFORE = "NOT_BEFORE"
    """The time from which something is possible. It is never rounded down to an earlier time."""
    NUMBER = "NUMBER"
    KRW = "KRW"
    MEMBERS = "MEMBERS"
    PLAN = "PLAN"
    TERM = "TERM"
    A_TERM = "A_TERM"
    """A contract term with an indefinite article, in languages that have articles."""
    COMMAND = "COMMAND"
    TEXT = "TEXT"
    TEXTS = "TEXTS"
    TERMS = "TERMS"
    """Terms of service, each as `id/version`."""


KINDS: Mapping[str, Kind] = {
    "date": Kind.DAY,
    "today": Kind.DAY,
    "latest": Kind.DAY,
    "replaced": Kind.DAY,
    "first_day": Kind.DAY,
    "end_day": Kind.END_DAY,
    "month": Kind.MONTH,
    "at": Kind.MOMENT,
    "last_at": Kind.MOMENT,
    "free_at": Kind.NOT_BEFORE,
    "least": Kind.NUMBER,
    "most": Kind.NUMBER,
    "more": Kind.NUMBER,
    "days": Kind.NUMBER,
    "number": Kind.NUMBER,
    "rank": Kind.NUMBER,
    "english": Kind.NUMBER,
    "korean": Kind.NUMBER,
    "left": Kind.KRW,
    "total": Kind.KRW,
    "price": Kind.KRW,
    "monthly": Kind.KRW,
    "monthly_before": Kind.KRW,
    "members": Kind.MEMBERS,
    "most_members": Kind.MEMBERS,
    "term": Kind.TERM,
    "a_term": Kind.A_TERM,
    "command": Kind.COMMAND,
    "allowed": Kind.TEXT,
    "expected": Kind.TEXT,
    "found": Kind.TEXT,
    "plan": Kind.PLAN,
    "prefix": Kind.TEXT,
    "attribute": Kind.TEXT,
    "version": Kind.TEXT,
    "key_id": Kind.TEXT,
    "plans": Kind.TEXTS,
    "commands": Kind.TEXTS,
    "names": Kind.TEXTS,
    "terms": Kind.TERMS,
}
"""The kind of each parameter, by name."""

_PLACE = re.compile(r"%\((\w+)\)s")


class Message(Frozen):
    """A text in no particular language: an English template and its parameters."""

    template: str
    parameters: Parameters = Field(default_factory=dict)

    @classmethod
    def of(cls, template: str, /, **values: Value) -> "Message":
        return cls(template=template, parameters=as_parameters(values))


class Formatter(Protocol):
    """The templates of one language, and its format of each kind of parameter."""

    def gettext(self, message: str, /) -> str: ...

    def day(self, day: date) -> str: ...

    def end_day(self, day: date) -> str: ...

    def month(self, day: date) -> str: ...

    def moment(self, at: datetime) -> str: ...

    def not_before(self, at: datetime) -> str: ...

    def number(self, number: int) -> str: ...

    def krw(self, amount: int) -> str: ...

    def members(self, members: int) -> str: ...

    def plan(self, plan: str) -> str: ...

    def term(self, term: str) -> str: ...

    def a_term(self, term: str) -> str: ...

    def command(self, command: str) -> str: ...

    def terms(self, terms: Sequence[str]) -> str: ...


class PlainFormatter:
    """English for APIs, logs and the command line: ISO dates, unchanged IDs."""

    def gettext(self, message: str, /) -> str:
        return message

    def day(self, day: date) -> str:
        return day.isoformat()

    def end_day(self, day: date) -> str:
        return day.isoformat()

    def month(self, day: date) -> str:
        return f"{day:%B %Y}"

    def moment(self, at: datetime) -> str:
        return f"{at:%Y-%m-%d at %H:%M} KST"

    def not_before(self, at: datetime) -> str:
        return f"{at:%Y-%m-%d %H:%M:%S} KST"

    def number(self, number: int) -> str:
        return f"{number:,}"

    def krw(self, amount: int) -> str:
        return f"{amount:,} KRW"

    def members(self, members: int) -> str:
        return f"{members:,} {'member' if members == 1 else 'members'}"

    def plan(self, plan: str) -> str:
        return plan

    def term(self, term: str) -> str:
        return f"{term.lower()} contract"

    def a_term(self, term: str) -> str:
        return f"{'an' if term == 'ANNUAL' else 'a'} {self.term(term)}"

    def command(self, command: str) -> str:
        return command

    def terms(self, terms: Sequence[str]) -> str:
        return ", ".join("{} ({})".format(*term.split("/", 1)) for term in terms)


PLAIN = PlainFormatter()


# There are a few hundred templates in each language.
@lru_cache(maxsize=4096)
def places_in(template: str) -> frozenset[str]:
    """Return the names of the parameters that a template uses."""
    return frozenset(_PLACE.findall(template))


def as_parameters(values: Mapping[str, Value]) -> dict[str, Parameter]:
    """Return the values as JSON values."""
    return {name: _as_parameter(value) for name, value in values.items()}


def format_message(message: Message, formatter: Formatter = PLAIN) -> str:
    """Return the translated template with its parameters. Parameters that it does not use are ignored."""
    return format_template(message.template, message.parameters, formatter)


def format_template(template: str, parameters: Parameters, formatter: Formatter = PLAIN) -> str:
    """Return the text of a template and its parameters, as `format_message` does for a message."""
    template = formatter.gettext(template)
    return template % {
        name: _format(KINDS[name], parameters[name], formatter) for name in places_in(template)
    }


def _as_parameter(value: Value) -> Parameter:
    match value:
        case date():  # `datetime` is a subclass of `date`
            return value.isoformat()
        case int() | str():
            return value
        case _:
            return tuple(value)


def _format(kind: Kind, value: Parameter, formatter: Formatter) -> str:
    match kind:
        case Kind.DAY:
            return formatter.day(date.fromisoformat(_text(value)))
        case Kind.END_DAY:
            return formatter.end_day(date.fromisoformat(_text(value)))
        case Kind.MONTH:
            return formatter.month(date.fromisoformat(_text(value)))
        case Kind.MOMENT:
            return formatter.moment(datetime.fromisoformat(_text(value)))
        case Kind.NOT_BEFORE:
            return formatter.not_before(datetime.fromisoformat(_text(value)))
        case Kind.NUMBER:
            return formatter.number(_number(value))
        case Kind.KRW:
            return formatter.krw(_number(value))
        case Kind.MEMBERS:
            return formatter.members(_number(value))
        case Kind.PLAN:
            return formatter.plan(_text(value))
        case Kind.TERM:
            return formatter.term(_text(value))
        case Kind.A_TERM:
            return formatter.a_term(_text(value))
        case Kind.COMMAND:
            return formatter.command(_text(value))
        case Kind.TEXT:
            return _text(value)
        case Kind.TEXTS:
            return ", ".join(_texts(value))
        case Kind.TERMS:
            return formatter.terms(_texts(value))
        case _:
            assert_never(kind)


def _text(value: Parameter) -> str:
    assert isinstance(value, str)
    return value


def _number(value: Parameter) -> int:
    assert isinstance(value, int)
    return value


def _texts(value: Parameter) -> tuple[str, ...]:
    assert isinstance(value, tuple)
    return value
