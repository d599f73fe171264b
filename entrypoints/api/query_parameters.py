"""Query parameter types shared by several routes."""

import re
from datetime import date
from typing import Annotated

from fastapi import Query
from pydantic import BeforeValidator, WithJsonSchema

from subscription.refusals import RefusalCode, validation_error

Members = Annotated[int | None, Query(ge=1, le=10_000_000)]
Plan = Annotated[str | None, Query(max_length=64)]


_MONTH = "(?!0000)([0-9]{4}-(0[1-9]|1[0-2]))(-01)?"


def _first_day(month: object) -> date:
    if isinstance(month, str) and (found := re.fullmatch(_MONTH, month)):
        return date.fromisoformat(f"{found[1]}-01")
    raise validation_error(RefusalCode.INVALID_VALUE, reason="EXPECTED", expected="a month such as 2027-03")


Month = Annotated[
    date,
    BeforeValidator(_first_day),
    WithJsonSchema({"type": "string", "pattern": f"^{_MONTH}$", "examples": ["2027-03"]}),
    Query(description="A month, such as 2027-03, or its first day."),
]
"""A month in Korea, as its first day."""
