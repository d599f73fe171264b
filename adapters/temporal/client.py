"""Temporal client from the environment, with data converter and tracing."""

import os
import re
from collections.abc import Sequence
from functools import cache

from temporalio.client import Client, Interceptor
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime

from adapters.settings_error import SettingsError
from adapters.temporal.data_converter import encrypting
from adapters.temporal.encryption_keys import Keyring
from adapters.temporal.paused_status import read_paused_as_running

read_paused_as_running()

TASK_QUEUE = "subscriptions"
_DEFAULT_ADDRESS = "localhost:7233"

_COLLECTORS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
_SUPPORTED_PROTOCOL = "http/protobuf"
_CERTIFICATE_SETTINGS = "TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH"
_BAD_CERTIFICATE = f"cannot be used: {_CERTIFICATE_SETTINGS} are not a certificate and its matching key"
_ERROR_MESSAGES = {
    "InvalidContentType": "does not support TLS, which TEMPORAL_TLS, an API key or a certificate requires",
    "InvalidCertificate": "has an untrusted certificate: check TEMPORAL_TLS_SERVER_CA_CERT_PATH and "
    "TEMPORAL_TLS_SERVER_NAME",
    "PrivateKeyParseError": _BAD_CERTIFICATE,
    "KeyMismatch": _BAD_CERTIFICATE,
    "CertificateParseError": _BAD_CERTIFICATE,
    "code: Unauthenticated": "refuses access: check TEMPORAL_API_KEY or the client certificate",
    "code: PermissionDenied": "refuses access: check TEMPORAL_API_KEY or the client certificate",
    "code: Unimplemented": "is not a Temporal server: check TEMPORAL_ADDRESS",
}

# Error texts that indicate a TLS mismatch or a server that is shutting down.
_DISCONNECT_MARKERS = (
    "broken pipe",
    "operation was canceled",
    "close_notify",
    "reset by peer",
    "fatal alert",
    "protocol error",
    "transport error",
)


class ConnectionSettingsError(SettingsError):
    """A setting of Temporal (TEMPORAL_ADDRESS, profiles, TLS, API keys) or of tracing is invalid."""


class TemporalUnavailableError(RuntimeError):
    """Temporal cannot be reached; the message contains the address and the reason."""


async def connect(
    keyring: Keyring, *, lazy: bool = False, service: str = "worksub", runtime: Runtime | None = None
) -> Client:
    """Connect a client with the standard Temporal settings; `service` is its service name in traces.

    Raises `SettingsError`, or `TemporalUnavailableError` if the server cannot be reached.
    """
    _check_environment()
    converter = encrypting(keyring)
    interceptors = tracing(service)
    try:
        config = ClientConfig.load_client_connect_config()
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ConnectionSettingsError(f"Temporal's settings cannot be read: {reason}.") from None
    address = config.setdefault("target_host", _DEFAULT_ADDRESS)
    try:
        check_address(address)
    except ValueError as error:
        raise ConnectionSettingsError(f"TEMPORAL_ADDRESS {error}, such as {_DEFAULT_ADDRESS}.") from None
    try:
        return await Client.connect(
            **config, data_converter=converter, interceptors=interceptors, runtime=runtime, lazy=lazy
        )
    except ValueError as error:
        raise ConnectionSettingsError(
            f"TEMPORAL_ADDRESS is not an address: {error}. Use a host and a port, such as {_DEFAULT_ADDRESS}."
        ) from None
    except RuntimeError as error:
        if message := connection_error_message(str(error)):
            raise ConnectionSettingsError(f"Temporal at {address} {message}.") from None
        raise TemporalUnavailableError(f"{address} does not answer: {root_cause(str(error))}") from None


def check_address(text: str) -> str:
    """Raise `ValueError` unless the text is a host and a port; the SDK would fail later."""
    if "://" in text or re.fullmatch(r".+:[0-9]+", text) is None:
        raise ValueError(f"is {text!r}; it must be a host and a port")
    return text


def check_tls(text: str) -> str:
    """Raise `ValueError` for a value of TEMPORAL_TLS that the SDK would misinterpret."""
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError(f"is {text!r}; it must be true or false")
    return text


def check_config_file(path: str) -> str:
    """Raise `ValueError` for a missing file, which the SDK would ignore."""
    if not os.path.exists(path):
        raise ValueError(f"is {path}, which does not exist")
    return path


def _check_environment() -> None:
    """Check a command's variables; a process has checked them with its other settings."""
    for name, check in (("TEMPORAL_TLS", check_tls), ("TEMPORAL_CONFIG_FILE", check_config_file)):
        try:
            if value := os.environ.get(name):
                check(value)
        except ValueError as error:
            raise ConnectionSettingsError(f"{name} {error}.") from None


def connection_error_message(sdk_error: str) -> str | None:
    """Return the message for an SDK error that a retry cannot resolve; None for a temporary error."""
    return next((message for marker, message in _ERROR_MESSAGES.items() if marker in sdk_error), None)


def root_cause(sdk_error: str) -> str:
    """Extract the innermost cause from the text of an SDK connection error."""
    reasons = re.findall(r'(?:message|error): "([^"]+)"', sdk_error)
    reason = (reasons[-1] if reasons else sdk_error).partition(": https://")[0]
    if any(marker in reason for marker in _DISCONNECT_MARKERS):
        hint = f"if it requires TLS or a client certificate, check TEMPORAL_TLS and {_CERTIFICATE_SETTINGS}"
        return f"{reason}; {hint}"
    return reason


@cache
def tracing(service: str) -> Sequence[Interceptor]:
    """Return the tracing interceptors of a client and its workers.

    They are empty unless an OpenTelemetry variable names a collector. Raises `ConnectionSettingsError`.
    """
    if not any(os.environ.get(name) for name in _COLLECTORS):
        return ()
    for name in _PROTOCOLS:
        if os.environ.get(name, _SUPPORTED_PROTOCOL) != _SUPPORTED_PROTOCOL:
            raise ConnectionSettingsError(f"{name} must be {_SUPPORTED_PROTOCOL} or unset.")
    try:
        from adapters.observability.trace_exporter import exporting_tracer
        from adapters.observability.tracing_interceptor import CommandTracingInterceptor
    except ImportError:
        raise ConnectionSettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT enables tracing, but OpenTelemetry is not installed: "
            "pip install 'worksub[tracing]'."
        ) from None
    return (CommandTracingInterceptor(exporting_tracer(service)),)
