"""Base classes for all models: internal values (`Frozen`) and external input (`Wire`)."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """An immutable value. Unknown fields are ignored, so that older code can read newer data.

    Error messages do not contain the input, which may be personal data. Validators are built at the first use
    of a model: a CLI command then builds only those of the models that it needs.
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
    """External input: strict types (no coercion); `parse_strict` rejects unknown fields."""

    model_config = ConfigDict(strict=True)
