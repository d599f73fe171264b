"""Query parameter types shared by several routes."""

import re
from datetime import date
from typing import Annotated

from fastapi import Query
from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from subscription.business_calendar import Day
from subscription.refusals import RefusalCode, validation_error

Members = Annotated[int | None, Query(ge=1, le=10_000_000)]
Plan = Annotated[str | None, Query(max_length=64)]


def _with_day(month: object) -> object:
    return f"{month}-01" if isinstance(month, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}", month) else month


def _first_day(month: date) -> date:
    if month.day != 1:
        raise validation_error(
            RefusalCode.INVALID_VALUE, reason="EXPECTED", expected="the first day of a month"
        )
    return month


_MONTH_SCHEMA = {
    "type": "string",
    "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])(-01)?$",
    "examples": ["2027-03"],
}
Month = Annotated[
    Day,
    BeforeValidator(_with_day),
    AfterValidator(_first_day),
    WithJsonSchema(_MONTH_SCHEMA),
    Query(description="A month, such as 2027-03, or its first day."),
]
"""A month in Korea, as its first day."""
