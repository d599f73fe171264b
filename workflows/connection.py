"""The door to Temporal: how everybody connects, speaks, is traced and finds the workers."""

import os
from collections.abc import Sequence
from functools import cache

from temporalio.client import Client, Interceptor
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime

TASK_QUEUE = "subscriptions"
_USUAL_ADDRESS = "localhost:7233"

_COLLECTORS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
_OUR_PROTOCOL = "http/protobuf"


class ConnectionSettingsError(Exception):
    """Temporal's settings (TEMPORAL_ADDRESS, profiles, TLS, API keys) or those of traces make no sense."""


async def connect(*, lazy: bool = False, service: str = "worksub", runtime: Runtime | None = None) -> Client:
    """A client by Temporal's own settings; `service` is who it is in traces.

    Raises `ConnectionSettingsError`, or `RuntimeError` if the server cannot be reached.
    """
    interceptors = tracing(service)
    try:
        config = ClientConfig.load_client_connect_config()
    except Exception as error:
        words = " ".join(str(error).split())
        raise ConnectionSettingsError(f"Temporal's settings cannot be read: {words}") from None
    config.setdefault("target_host", _USUAL_ADDRESS)
    try:
        return await Client.connect(
            **config,
            data_converter=pydantic_data_converter,
            interceptors=interceptors,
            runtime=runtime,
            lazy=lazy,
        )
    except ValueError as error:
        raise ConnectionSettingsError(
            f"TEMPORAL_ADDRESS is not an address: {error}. It must be as in {_USUAL_ADDRESS}."
        ) from None


@cache
def tracing(service: str) -> Sequence[Interceptor]:
    """What traces a client and its workers; nothing unless OpenTelemetry's variables name a collector.

    Raises `ConnectionSettingsError`.
    """
    if not any(os.environ.get(name) for name in _COLLECTORS):
        return ()
    for name in _PROTOCOLS:
        if os.environ.get(name, _OUR_PROTOCOL) != _OUR_PROTOCOL:
            raise ConnectionSettingsError(f"{name} must be {_OUR_PROTOCOL}, or not be set.")
    try:
        from workflows.exporting import exporting_tracer
        from workflows.tracing import Tracing
    except ImportError:
        raise ConnectionSettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT asks for traces, and OpenTelemetry is not installed: "
            "pip install 'worksub[tracing]'."
        ) from None
    return (Tracing(exporting_tracer(service)),)
