"""Temporal client from the environment, with data converter and tracing."""

import os
import re
from collections.abc import Sequence
from functools import cache

from temporalio.client import Client, Interceptor
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime

from adapters.temporal.data_converter import data_converter
from adapters.temporal.paused_status import read_paused_as_running

read_paused_as_running()

TASK_QUEUE = "subscriptions"
_DEFAULT_ADDRESS = "localhost:7233"

_COLLECTORS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
_OUR_PROTOCOL = "http/protobuf"
_CERTIFICATE_SETTINGS = "TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH"
_ERROR_MESSAGES = {
    "InvalidContentType": "does not speak TLS, which TEMPORAL_TLS, an API key or a certificate asks for",
    "InvalidCertificate": "shows a certificate that is not trusted: see TEMPORAL_TLS_SERVER_CA_CERT_PATH and "
    "TEMPORAL_TLS_SERVER_NAME",
    "PrivateKeyParseError": f"is not asked, for {_CERTIFICATE_SETTINGS} are no certificate with its key",
    "KeyMismatch": f"is not asked, for {_CERTIFICATE_SETTINGS} are no certificate with its key",
    "CertificateParseError": f"is not asked, for {_CERTIFICATE_SETTINGS} are no certificate with its key",
    "code: Unauthenticated": "does not let us in: see TEMPORAL_API_KEY, or the client's certificate",
    "code: PermissionDenied": "does not let us in: see TEMPORAL_API_KEY, or the client's certificate",
    "code: Unimplemented": "is no Temporal server: see TEMPORAL_ADDRESS",
}

# How it sounds when whoever answers wants something else, or when it is just going away.
_DISCONNECT_MARKERS = (
    "broken pipe",
    "operation was canceled",
    "close_notify",
    "reset by peer",
    "fatal alert",
    "protocol error",
    "transport error",
)


class ConnectionSettingsError(Exception):
    """Temporal's settings (TEMPORAL_ADDRESS, profiles, TLS, API keys) or those of traces make no sense."""


class TemporalUnavailableError(RuntimeError):
    """Nobody answers at Temporal's address; the message says where, and why."""


async def connect(*, lazy: bool = False, service: str = "worksub", runtime: Runtime | None = None) -> Client:
    """A client by Temporal's own settings; `service` is who it is in traces.

    Raises `ConnectionSettingsError`, or `TemporalUnavailableError` if the server cannot be reached.
    """
    _check_environment()
    interceptors = tracing(service)
    try:
        config = ClientConfig.load_client_connect_config()
    except Exception as error:
        words = " ".join(str(error).split())
        raise ConnectionSettingsError(f"Temporal's settings cannot be read: {words}.") from None
    address = config.setdefault("target_host", _DEFAULT_ADDRESS)
    if "://" in address or re.fullmatch(r".+:[0-9]+", address) is None:
        raise ConnectionSettingsError(
            f"TEMPORAL_ADDRESS is {address!r}; it must be a host and a port, as in {_DEFAULT_ADDRESS}."
        )
    try:
        return await Client.connect(
            **config, data_converter=data_converter(), interceptors=interceptors, runtime=runtime, lazy=lazy
        )
    except ValueError as error:
        raise ConnectionSettingsError(
            f"TEMPORAL_ADDRESS is not an address: {error}. It must be as in {_DEFAULT_ADDRESS}."
        ) from None
    except RuntimeError as error:
        if misfit := connection_error_message(str(error)):
            raise ConnectionSettingsError(f"Temporal at {address} {misfit}.") from None
        raise TemporalUnavailableError(f"{address} does not answer: {root_cause(str(error))}") from None


def _check_environment() -> None:
    """What the SDK would read as something else, or pass over in silence."""
    tls = os.environ.get("TEMPORAL_TLS")
    if tls and tls.lower() not in ("true", "false", "1", "0"):
        raise ConnectionSettingsError(f"TEMPORAL_TLS is {tls!r}; it must be true or false.")
    file = os.environ.get("TEMPORAL_CONFIG_FILE")
    if file and not os.path.exists(file):
        raise ConnectionSettingsError(f"TEMPORAL_CONFIG_FILE is {file}, and there is no such file.")


def connection_error_message(told: str) -> str | None:
    """What keeps a connection from being made and will not pass by waiting, out of what the SDK tells."""
    return next((misfit for sign, misfit in _ERROR_MESSAGES.items() if sign in told), None)


def root_cause(told: str) -> str:
    """Why a connection was not made, out of what the SDK tells: the innermost of its causes."""
    reasons = re.findall(r'(?:message|error): "([^"]+)"', told)
    reason = (reasons[-1] if reasons else told).partition(": https://")[0]
    if any(sign in reason for sign in _DISCONNECT_MARKERS):
        wanted = f"if it wants TLS or a client's certificate, see TEMPORAL_TLS and {_CERTIFICATE_SETTINGS}"
        return f"{reason}; {wanted}"
    return reason


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
        from adapters.observability.trace_exporter import exporting_tracer
        from adapters.observability.tracing_interceptor import CommandTracingInterceptor
    except ImportError:
        raise ConnectionSettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT asks for traces, and OpenTelemetry is not installed: "
            "pip install 'worksub[tracing]'."
        ) from None
    return (CommandTracingInterceptor(exporting_tracer(service)),)
