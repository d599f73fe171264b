"""Event type, for query parameters and body fields."""

from typing import Annotated

from pydantic import AfterValidator, Field

from subscription.events import EVENT_KINDS
from subscription.refusals import RefusalCode, validation_error


def _event_kind(value: str) -> str:
    if value not in EVENT_KINDS:
        raise validation_error(
            RefusalCode.INVALID_VALUE, reason="EXPECTED", expected=f"one of {', '.join(EVENT_KINDS)}"
        )
    return value


EventKind = Annotated[str, AfterValidator(_event_kind), Field(json_schema_extra={"enum": list(EVENT_KINDS)})]
