"""Variables of the Temporal SDK that it would misinterpret or ignore without an error."""

import os
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from adapters.settings import Settings
from adapters.temporal.client import is_address


def _address(text: str) -> str:
    if not is_address(text):
        raise ValueError(f"is {text!r}; it must be a host and a port")
    return text


def _config_file(path: str) -> str:
    if not os.path.exists(path):
        raise ValueError(f"is {path}, which does not exist")
    return path


class TemporalSettings(Settings):
    """The SDK reads these variables; this class only validates them."""

    temporal_address: Annotated[str, AfterValidator(_address)] = Field(
        "localhost:7233", validation_alias="TEMPORAL_ADDRESS", examples=["localhost:7233"]
    )
    """Host and port of Temporal."""
    temporal_tls: Annotated[Literal["true", "false", "1", "0"], BeforeValidator(str.lower)] | None = Field(
        None, validation_alias="TEMPORAL_TLS"
    )
    """`true` or `false`; by default TLS is enabled with an API key or a certificate."""
    temporal_config_file: Annotated[str, AfterValidator(_config_file)] | None = Field(
        None, validation_alias="TEMPORAL_CONFIG_FILE"
    )
    """File with profiles; by default the user's `temporal.toml`."""
