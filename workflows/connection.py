"""The door to Temporal: how everybody connects, speaks and finds the workers."""

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig

TASK_QUEUE = "subscriptions"
_USUAL_ADDRESS = "localhost:7233"


class ConnectionSettingsError(Exception):
    """Temporal's own settings (TEMPORAL_ADDRESS, profiles, TLS, API keys) do not make sense."""


async def connect(*, lazy: bool = False) -> Client:
    """A client by Temporal's own settings.

    Raises `ConnectionSettingsError`, or `RuntimeError` if the server cannot be reached.
    """
    try:
        config = ClientConfig.load_client_connect_config()
    except Exception as error:
        words = " ".join(str(error).split())
        raise ConnectionSettingsError(f"Temporal's settings cannot be read: {words}") from None
    config.setdefault("target_host", _USUAL_ADDRESS)
    try:
        return await Client.connect(**config, data_converter=pydantic_data_converter, lazy=lazy)
    except ValueError as error:
        raise ConnectionSettingsError(
            f"TEMPORAL_ADDRESS is not an address: {error}. It must be as in {_USUAL_ADDRESS}."
        ) from None
