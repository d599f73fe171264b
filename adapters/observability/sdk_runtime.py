"""Temporal SDK runtime: Prometheus metrics and log forwarding."""

import http.client
import logging
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from adapters.observability.internal_http_server import Answer, serve_internal_http

_LOOPBACK = "127.0.0.1"
_TIMEOUT_SECONDS = 5.0
_MINUTE, _HOUR, _DAY = 60, 3600, 86400

# In seconds. A deadline is processed within moments, or at the end of an outage of any length.
_LATENESS = (1, 5, 15, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 6 * _HOUR, _DAY, 7 * _DAY)
_BUCKETS: Mapping[str, Sequence[float]] = {"worksub_deadline_lateness": _LATENESS}


@asynccontextmanager
async def metrics_served(host: str, port: int) -> AsyncIterator[Runtime]:
    """Serve the metrics of the yielded runtime as `/metrics` at the address until the context exits.

    The SDK's own metrics server has no limits. It therefore listens on the loopback interface only, behind a
    server with limits. Raises `OSError` if the address is unusable.
    """
    with socket.create_server((_LOOPBACK, 0)) as probe:
        sdk_port: int = probe.getsockname()[1]

    def answer_for(path: str) -> Answer:
        if path != "/metrics":
            return Answer(HTTPStatus.NOT_FOUND, "text/plain", b"Metrics are at /metrics.\n")
        connection = http.client.HTTPConnection(_LOOPBACK, sdk_port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            content_type = response.getheader("Content-Type", "text/plain")
            return Answer(HTTPStatus(response.status), content_type, response.read())
        finally:
            connection.close()

    async with serve_internal_http(host, port, answer_for):
        yield telemetry_runtime(f"{_LOOPBACK}:{sdk_port}")


def telemetry_runtime(metrics_address: str | None) -> Runtime:
    """Create a runtime that serves its metrics as `/metrics` at the address, if an address is given.

    Raises `ValueError` if the address is unusable.
    """
    return Runtime(
        telemetry=TelemetryConfig(
            # The log fields of the SDK may quote an error, so only the messages are forwarded.
            logging=LoggingConfig(
                filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
                forwarding=LogForwardingConfig(
                    logger=logging.getLogger("temporalio.core"),
                    append_target_to_name=False,
                    prepend_target_on_message=False,
                    append_log_fields_to_message=False,
                ),
            ),
            metrics=PrometheusConfig(
                bind_address=metrics_address,
                counters_total_suffix=True,
                unit_suffix=True,
                durations_as_seconds=True,
                histogram_bucket_overrides=_BUCKETS,
            )
            if metrics_address
            else None,
            attach_service_name=False,
        )
    )
