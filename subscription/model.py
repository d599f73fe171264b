"""Base classes for all models: internal values (`Frozen`) and external input (`Wire`)."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value that never changes. Unknown fields are ignored, so that older code reads newer records.

    Values are kept out of error messages, since they may be personal data. A model is built when it is first
    used: a command that reads one kind of them need not wait for all.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        serialize_by_alias=True,
        validate_by_name=True,
        defer_build=True,
    )


class Wire(Frozen):
    """What a caller sends: no number is taken for a text or a truth, and `check` refuses unknown fields."""

    model_config = ConfigDict(strict=True)
