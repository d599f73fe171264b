"""Variables of the Temporal SDK that it would misinterpret or ignore without an error."""

from typing import Annotated

from pydantic import AfterValidator, Field

from adapters.settings import Settings
from adapters.temporal.client import check_address, check_config_file, check_tls


class TemporalSettings(Settings):
    """The SDK reads these variables; this class only validates them."""

    temporal_address: Annotated[str, AfterValidator(check_address)] = Field(
        "localhost:7233", validation_alias="TEMPORAL_ADDRESS", examples=["localhost:7233"]
    )
    """Host and port of Temporal."""
    temporal_tls: Annotated[str, AfterValidator(check_tls)] | None = Field(
        None, validation_alias="TEMPORAL_TLS"
    )
    """`true` or `false`; by default TLS is enabled with an API key or a certificate."""
    temporal_config_file: Annotated[str, AfterValidator(check_config_file)] | None = Field(
        None, validation_alias="TEMPORAL_CONFIG_FILE"
    )
    """File with profiles; by default the user's `temporal.toml`."""
