"""Variables of the Temporal SDK that it would misinterpret or ignore without an error."""

import os
import re
from typing import Annotated

from pydantic import AfterValidator, Field

from adapters.settings import Settings


def _address(text: str) -> str:
    if "://" in text or re.fullmatch(r".+:[0-9]+", text) is None:
        raise ValueError(f"is {text!r}; it must be a host and a port")
    return text


def _tls(text: str) -> str:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError(f"is {text!r}; it must be true or false")
    return text


def _config_file(path: str) -> str:
    if not os.path.exists(path):
        raise ValueError(f"is {path}, which does not exist")
    return path


class TemporalSettings(Settings):
    """The SDK reads these variables; this class only validates them."""

    temporal_address: Annotated[str, AfterValidator(_address)] = Field(
        "localhost:7233",
        validation_alias="TEMPORAL_ADDRESS",
        description="host and port of Temporal",
        examples=["localhost:7233"],
    )
    temporal_tls: Annotated[str, AfterValidator(_tls)] | None = Field(
        None,
        validation_alias="TEMPORAL_TLS",
        description="`true` or `false`; by default TLS is enabled with an API key or a certificate",
    )
    temporal_config_file: Annotated[str, AfterValidator(_config_file)] | None = Field(
        None,
        validation_alias="TEMPORAL_CONFIG_FILE",
        description="file with profiles; by default the user's `temporal.toml`",
    )
