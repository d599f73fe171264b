"""Messages for connection errors of the Temporal SDK, with the error texts of SDK 1.35."""

import pytest

from adapters.temporal.client import connection_error_message, root_cause

REFUSED = (
    "Failed client connect: Server connection error: tonic::transport::Error(Transport, "
    'ConnectError(ConnectError("tcp connect error", 127.0.0.1:1, Os { code: 111, kind: ConnectionRefused, '
    'message: "Connection refused" })))'
)
UNKNOWN_NAME = (
    "Failed client connect: Server connection error: tonic::transport::Error(Transport, "
    'ConnectError(ConnectError("dns error", Custom { kind: Uncategorized, '
    'error: "failed to lookup address information: Name or service not known" })))'
)


@pytest.mark.parametrize(
    ("sdk_error", "reason"),
    [
        (REFUSED, "Connection refused"),
        (UNKNOWN_NAME, "failed to lookup address information: Name or service not known"),
        ("something new", "something new"),
    ],
)
def test_innermost_connection_error_is_reported(sdk_error: str, reason: str) -> None:
    assert connection_error_message(sdk_error) is None
    assert root_cause(sdk_error) == reason


@pytest.mark.parametrize(
    ("sdk_error", "expected"),
    [
        (
            "tonic::transport::Error(Transport, ConnectError(Custom { kind: InvalidData, "
            "error: InvalidMessage(InvalidContentType) }))",
            "does not support TLS",
        ),
        (
            "tonic::transport::Error(Transport, ConnectError(Custom { kind: InvalidData, "
            "error: InvalidCertificate(UnknownIssuer) }))",
            "untrusted certificate",
        ),
        (
            "tonic::transport::Error(Transport, PrivateKeyParseError)",
            "a certificate and its matching key",
        ),
        (
            "`get_system_info` call error after connection: Status { code: PermissionDenied, "
            'message: "Request unauthorized.", source: None }',
            "TEMPORAL_API_KEY",
        ),
        (
            "`get_system_info` call error after connection: Status { code: Unimplemented, "
            'message: "grpc-status header missing, mapped from HTTP status code 404", source: None }',
            "is not a Temporal server",
        ),
    ],
)
def test_permanent_connection_errors_are_recognized(sdk_error: str, expected: str) -> None:
    message = connection_error_message(sdk_error)
    assert message is not None
    assert expected in message
